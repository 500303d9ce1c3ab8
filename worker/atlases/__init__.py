"""Carries out what is wanted of atlases: rows of the database only, no torch."""
