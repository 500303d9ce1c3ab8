"""Maps of atlases: a place in the plane for each unit, so that units that want to see alike lie together."""
