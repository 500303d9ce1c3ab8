"""A browser on this machine and a walk over the pages, for tests and screenshots. Needs what tests need."""
