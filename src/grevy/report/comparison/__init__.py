"""A page of many runs side by side: one file that opens offline, in the manner of a run's own."""
