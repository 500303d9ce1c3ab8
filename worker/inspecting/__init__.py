"""Looking into networks that were registered."""
