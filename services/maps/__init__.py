"""Maps of atlases: a place in the plane for each unit, near those whose pictures look alike."""
