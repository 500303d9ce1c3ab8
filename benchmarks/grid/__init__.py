"""How a layer of 100,000 units scrolls: `make bench-grid`."""
