"""Keeping the object store whole: scrubbing, collection of what nothing points to, tallies."""
