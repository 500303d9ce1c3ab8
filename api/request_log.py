"""One id and one log event a request. The id comes from the client or the proxy where it looks like one, so
that a request can be followed through several services.
"""

import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request

from api.context import context

log = structlog.get_logger(__name__)

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")
_QUIET = {"/healthz", "/readyz", "/metrics"}
"""Asked every few seconds by machines; logged only when they fail."""


def register(app: Flask) -> None:
    def begin() -> None:
        g.started = time.perf_counter()
        offered = request.headers.get(HEADER, "")
        g.request_id = offered if _ACCEPTED.fullmatch(offered) else f"req_{secrets.token_hex(10)}"
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        response.headers[HEADER] = g.request_id
        # The rule, not the path: an id a label would make one time series each.
        route = request.url_rule.rule if request.url_rule else "(none)"
        context().metrics.observe(request.method, route, response.status_code, seconds)
        if request.path not in _QUIET or response.status_code >= 400:
            log.info(
                "http_request",
                method=request.method,
                path=request.path,
                route=route,
                status=response.status_code,
                duration_ms=round(seconds * 1000, 1),
                bytes=response.content_length,
                key_id=g.get("key_id"),
            )
        return response

    app.before_request(begin)
    app.after_request(end)
