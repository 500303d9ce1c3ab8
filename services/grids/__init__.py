"""Grids of layers: which units, in which order, and what each cell shows."""
