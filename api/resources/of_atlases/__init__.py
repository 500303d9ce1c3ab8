"""What is made of the versions of atlases, beside their sheets."""
