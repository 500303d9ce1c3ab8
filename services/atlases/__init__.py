"""Atlases: the pictures of many units of a network, built overnight, in versions that never change."""
