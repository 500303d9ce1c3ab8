"""Leases of batches, repairs after dead workers, workers, and the chores beside the queue."""
