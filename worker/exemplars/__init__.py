"""Scans of real pictures: reading them, looking at them with a network, cutting out exemplars."""
