"""Neurodata Without Borders: spike times and series, each on its own clock, into a recording."""
