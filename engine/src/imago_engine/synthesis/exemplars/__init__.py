"""Exemplars: the real pictures that excite units most, and how strongly real pictures excite them."""
