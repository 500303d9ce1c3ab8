"""What a search finds: units by words, by likeness, and by what a photograph excites."""
