"""Real pictures that excite units most: finding them, and looking at them."""
