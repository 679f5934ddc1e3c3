"""Runs mirrored where others look at theirs: one file for each tracker."""
