"""How an ascent uses a machine: its threads, its memory, and in which numbers it computes."""
