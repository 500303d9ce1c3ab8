"""What the export of an atlas by one address costs: `make bench-exports`."""
