"""The page of a unit: its pictures, what is known of them, and how to have others made."""
