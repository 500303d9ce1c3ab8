"""HTTP for every route: JSON bodies, conditional requests, content negotiation, headers, the request log."""
