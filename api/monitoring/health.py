"""`/healthz`: this process runs. `/readyz`: everything it needs answers, checked side by side."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import structlog
from flask import Blueprint, Response, jsonify

from api.context import context
from api.problems import problem_types
from api.problems.problems import Problem
from services.base.errors import Unavailable

CHECK_SECONDS = 5.0
"""A check that takes longer counts as failed: whoever asks has a timeout too."""

log = structlog.get_logger(__name__)
blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def process_runs() -> Response:
    """Whether this process runs."""
    return _uncached(jsonify(status="ok"))


@blueprint.get("/readyz")
def everything_answers() -> Response:
    """Whether all servers answer that this process needs."""
    checks = _run_all()
    if all(check["ok"] for check in checks.values()):
        return _uncached(jsonify(status="ready", checks=checks))
    absent = ", ".join(name for name, check in checks.items() if not check["ok"])
    raise Problem(problem_types.UNAVAILABLE, f"Not ready: {absent}.", members={"checks": checks})


def _run_all() -> dict[str, dict[str, Any]]:
    needs = context()
    checks: dict[str, Callable[[], None]] = {
        "database": needs.database.ping,
        "broker": needs.doorbell.ping,
        "store": needs.store.ping,
    }
    # Not a `with`: leaving one waits for checks that hang.
    executor = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="readiness")
    try:
        running = {name: executor.submit(_timed, check) for name, check in checks.items()}
        deadline = time.monotonic() + CHECK_SECONDS
        return {name: _outcome(future, deadline) for name, future in running.items()}
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _timed(check: Callable[[], None]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        check()
        failure: dict[str, Any] = {}
    except Unavailable as error:
        log.warning("not_ready", reason=str(error))
        failure = {"detail": error.for_anyone}
    return {"ok": not failure, "milliseconds": round((time.perf_counter() - started) * 1000, 1), **failure}


def _outcome(future: "Future[dict[str, Any]]", deadline: float) -> dict[str, Any]:
    try:
        return future.result(timeout=max(deadline - time.monotonic(), 0))
    except FutureTimeoutError:
        return {"ok": False, "detail": f"No answer within {CHECK_SECONDS:g} s."}


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
