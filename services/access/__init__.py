"""API keys, and who may change what."""
