"""One batch of pictures: sized, computed, encoded, delivered."""
