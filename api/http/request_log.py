"""One id and one log event a request. The id comes from the client or the proxy where it looks like one, so
that a request can be followed through several services.
"""

import logging
import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request

from api.context import context
from api.monitoring.prometheus import Metrics
from services.base.settings import Settings

log = structlog.get_logger(__name__)

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")
_QUIET = {"/healthz", "/readyz", "/metrics"}
"""Asked every few seconds by machines; logged only when they fail."""


def request_id(offered: str) -> str:
    """The id of a request: the one that came with it, if it looks like one."""
    return offered if _ACCEPTED.fullmatch(offered) else f"req_{secrets.token_hex(10)}"


def record(
    metrics: Metrics,
    settings: Settings,
    *,
    method: str,
    path: str | None,
    route: str,
    status: int,
    seconds: float,
    size: int | None,
    key_id: str | None,
    **more: str,
) -> None:
    """Count and log one answer. `route` is the rule, not the path: an id as a label would make one time
    series each."""
    metrics.observe(method, route, status, seconds)
    if path not in _QUIET or status >= 400:
        log.log(
            _level(settings, method, status),
            "http_request",
            method=method,
            path=path,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            bytes=size,
            key_id=key_id,
            **more,
        )


def _level(settings: Settings, method: str, status: int) -> int:
    """At a console a person waits for what is submitted and what goes wrong. Whoever watches a job reads some
    times a second, and those lines would bury the workers'. Machines, which read JSON, get every request."""
    is_read = method in ("GET", "HEAD", "OPTIONS") and status < 400
    return logging.DEBUG if is_read and settings.log_format == "console" else logging.INFO


def register(app: Flask) -> None:
    """Give each request an id, and log its answer."""

    def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = request_id(request.headers.get(HEADER, ""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    def end(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        record(
            context().metrics,
            context().settings,
            method=request.method,
            path=request.path,
            route=request.url_rule.rule if request.url_rule else "(none)",
            status=response.status_code,
            seconds=time.perf_counter() - g.started,
            size=response.content_length,
            key_id=g.get("key_id"),
        )
        return response

    app.before_request(begin)
    app.after_request(end)
