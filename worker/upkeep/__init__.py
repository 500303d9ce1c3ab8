"""What idle workers do for the store: repairs, scrubbing, collection."""
