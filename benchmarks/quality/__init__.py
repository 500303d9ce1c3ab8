"""How good the pictures are: `make bench-quality`, and grids to look at.

The shipped generator against the one before it, against priors that need no training (`fourier`, `pixel`) at
equal compute, and against real photographs. What is measured is said in `evaluation`, how in `statistics`.
"""
