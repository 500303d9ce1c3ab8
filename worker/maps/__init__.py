"""Draws maps of atlases. UMAP, and what it brings along, is loaded by a process of its own alone."""
