"""How long each page takes with a million units in the database: `make bench-pages`."""
