"""Headers of every response: who may embed it, and what a browser must not do with it."""

from flask import Flask, Response, request

_EXPOSED = "ETag, Link, Location, Retry-After, X-Request-Id"
# Pages are plain HTML with one stylesheet: nothing else may run or load.
_PAGE_POLICY = (
    "default-src 'none'; img-src 'self' https: http:; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


def register(app: Flask) -> None:
    def finish(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Content-Security-Policy"] = (
            _PAGE_POLICY if response.mimetype == "text/html" else _DATA_POLICY
        )
        if request.method in ("GET", "HEAD"):
            # Notebooks and dashboards embed pictures and read progress. No cookies are used anywhere, so
            # another origin can read only what it could read by itself.
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Access-Control-Expose-Headers"] = _EXPOSED
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    app.after_request(finish)
