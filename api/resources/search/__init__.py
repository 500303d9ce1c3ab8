"""Search, and what is compared: resources under /v1/search and /v1/compare."""
