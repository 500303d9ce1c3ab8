"""Streams that the server around the application opens, or not."""

import json
import threading
from collections.abc import Callable

import sqlalchemy as sa

from api.context import context
from services.base.database import Database
from tests.api.edge.asker import Answer, Asker, new_key
from tests.api.small_catalog import job_body


def _events_of_a_new_job(asker: Asker, database: Database) -> str:
    key = new_key(database, "jobs:write")[1]
    body = json.dumps(job_body("4")).encode()
    job = asker.get("/v1/jobs", "POST", body, content_type="application/json", authorization=key)
    return f"{json.loads(job.body)['links']['self']}/events"


def _follow(asker: Asker, path: str) -> Answer:
    """What a client gets that leaves once it has sent its request."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> object:
        return next(messages, {"type": "http.disconnect"})

    return asker._runner.run(asker._ask("GET", path, b"", {}, receive))


def test_where_the_transaction_fails_a_problem_is_answered_and_no_stream_is_open(
    make: Callable[..., Asker], database: Database, network: str
) -> None:
    asker = make()
    path = _events_of_a_new_job(asker, database)
    assert _follow(asker, path).status == 200

    def fail(connection: sa.Connection) -> None:
        if threading.current_thread().name.startswith("request"):
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the server closed the connection"))

    sa.event.listen(context(asker.edge._flask).database.engine, "commit", fail)
    answer = _follow(asker, path)
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body)["status"] == 503
    assert asker.edge._streaming.places.taken == 0
