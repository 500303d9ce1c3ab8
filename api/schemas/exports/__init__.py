"""Atlases as they come and go."""
