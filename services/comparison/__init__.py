"""Compare two versions of atlases: a figure a layer, and the units that changed most."""
