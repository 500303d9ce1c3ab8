"""Comparing atlases: a slice at a time, with a picture of what changed most."""
