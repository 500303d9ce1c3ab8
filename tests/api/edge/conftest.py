"""An application in the server around it, and something finished to ask for."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from tests.api.edge.asker import Asker, Clock, new_key
from tests.api.small_catalog import finish_all, job_body


@pytest.fixture
def make(settings: Settings) -> Iterator[Callable[..., Asker]]:
    made: list[Asker] = []

    def ask(**changed: Any) -> Asker:
        made.append(Asker(settings.model_copy(update=changed)))
        return made[-1]

    yield ask
    for asker in made:
        asker.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which answers and keys age."""
    clock = Clock()
    for module in ("answers", "trust"):
        monkeypatch.setattr(f"api.edge.{module}.time", clock)
    return clock


@pytest.fixture
def digest(database: Database, store: ObjectStore, make: Callable[..., Asker]) -> str:
    """Of a finished visualization of unit 3."""
    asker = make()
    job = asker.get(
        "/v1/jobs",
        "POST",
        json.dumps(job_body("3")).encode(),
        content_type="application/json",
        authorization=new_key(database, "jobs:write")[1],
    )
    assert job.status == 202
    finish_all(database, store)
    found = asker.get(json.loads(job.body)["links"]["visualizations"])
    name: str = json.loads(found.body)["data"][0]["digest"]
    return name


@pytest.fixture
def asker(make: Callable[..., Asker], digest: str) -> Asker:
    return make()
