"""What is measured of pictures, and the table of it."""
