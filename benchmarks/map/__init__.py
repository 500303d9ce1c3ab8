"""How a map of 100,000 units is moved about in: `make bench-map`."""
