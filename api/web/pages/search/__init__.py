"""The page that searches: by labels, names of units, likeness, and by what a photograph excites."""
