"""Jobs: what is asked for, planned, submitted, counted and shown."""
