"""Search: units by what is seen in their pictures, by likeness, and by what a photograph excites."""
