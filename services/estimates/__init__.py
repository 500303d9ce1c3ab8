"""What work costs, learned from batches, and when waiting work will be done."""
