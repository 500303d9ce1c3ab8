"""Atlases as files: written from a server, read without one, checked by hashes."""
