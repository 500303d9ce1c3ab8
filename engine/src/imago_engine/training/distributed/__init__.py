"""The processes that train together, one a device."""
