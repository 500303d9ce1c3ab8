"""Generators: architectures, files, the space of their codes, and its limits."""
