"""What a network consists of: its layers, found by running it."""
