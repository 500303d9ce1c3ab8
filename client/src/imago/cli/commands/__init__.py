"""The commands of `imago`, those of one subject together."""
