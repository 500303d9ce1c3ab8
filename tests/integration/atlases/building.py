"""Shorthands for what people and workers do with atlases."""

from typing import Any

import pytest
from sqlalchemy import text

from services.access.keys import Principal
from services.atlases import atlases, changes, creation, entries, publishing, subjects
from services.atlases.atlas_request import AtlasExtension, AtlasRequest
from services.atlases.building import steps
from services.atlases.building.steps import JobCursor
from services.atlases.progress import AtlasView
from services.base.database import Database
from services.jobs.making import Making
from services.queue import chores
from tests.integration import staging

ALL = 8 + 112 + 400
"""Units of the network of `staging`."""


def make(database: Database, owner: str | None = None, **asked: Any) -> str:
    """A new atlas of all layers, unless told otherwise."""
    request = AtlasRequest.model_validate({"network": staging.NETWORK, "layers": "all", **asked})
    with database.session() as session:
        return creation.create(session, request, owner=owner)[0].id


def step(database: Database, id: str, cursor: JobCursor | None = None) -> steps.Step:
    with database.session() as session:
        return steps.step(session, id, cursor or JobCursor())


def carry_out(database: Database, id: str) -> int:
    """What workers do until nothing is left to do at once; returns how many steps it took."""
    taken, cursor = 0, JobCursor()
    while True:
        done = step(database, id, cursor)
        taken, cursor = taken + 1, done.cursor
        if not done.follows_at_once:
            return taken


def built(database: Database, **asked: Any) -> str:
    """An atlas all of whose pictures are done."""
    id = make(database, **asked)
    carry_out(database, id)
    staging.work_off(database)
    return id


def planned_by_an_earlier_release(database: Database, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> str:
    """An atlas whose pictures were to be made by another version of their technique."""
    with monkeypatch.context() as patch:
        patch.setattr(Making, "version", property(lambda making: "0"))
        id = make(database, **asked)
        carry_out(database, id)
    return id


def view(database: Database, id: str, by: Principal | None = None) -> AtlasView:
    with database.session() as session:
        return atlases.get(session, id, by=by)


def pause(database: Database, id: str) -> None:
    with database.session() as session:
        changes.pause(session, id)
    carry_out(database, id)


def resume(database: Database, id: str) -> None:
    with database.session() as session:
        changes.resume(session, id)
    carry_out(database, id)


def publish(database: Database, id: str) -> int:
    """Publish the open version of an atlas to the end; returns its number."""
    with database.session() as session:
        number = publishing.publish(session, id)[1].number
    publishing.publish_at_once(database, id, seconds=600)
    return number


def begin_export(database: Database, id: str, units_object: str) -> None:
    """An export of which a part is written."""
    part = """
        INSERT INTO atlas_export_parts
        SELECT no, 1, 0, 0, 0, 0, :key, 6, NULL, 0, NULL, 0, 0, '[]', '[]', '[]' FROM atlases WHERE id = :id
    """
    with database.session() as session:
        whole = "INSERT INTO atlas_exports (atlas_no, number) SELECT no, 1 FROM atlases WHERE id = :id"
        session.execute(text(whole), {"id": id})
        session.execute(text(part), {"id": id, "key": units_object})


def extend(database: Database, id: str, **asked: Any) -> None:
    with database.session() as session:
        changes.extend(session, id, AtlasExtension.model_validate(asked), room=None)
    carry_out(database, id)


def places(database: Database, id: str) -> list[tuple[str, int, int]]:
    """(layer, unit, facet) of every entry that the open version has, in the order of the turns."""
    query = text("""
        SELECT l.layer, e.unit, e.facet FROM atlases a JOIN atlas_entries e ON e.atlas_no = a.no
        JOIN atlas_layers l USING (atlas_no, layer_no) JOIN visualizations v USING (digest)
        WHERE a.id = :id AND e.until IS NULL ORDER BY v.queue_order
    """)
    with database.session() as session:
        return [(row.layer, row.unit, row.facet) for row in session.execute(query, {"id": id})]


def units(database: Database, id: str, version: str, layer: str) -> list[entries.AtlasUnit]:
    """All that a version shows of a layer."""
    with database.session() as session:
        found = entries.units_of(session, id, version, layer)
    return list(found.all(database))


def job_ids(database: Database, id: str) -> list[str]:
    query = text("SELECT j.id FROM jobs j JOIN atlases a ON a.no = j.atlas_no WHERE a.id = :id ORDER BY turn")
    with database.session() as session:
        return list(session.scalars(query, {"id": id}))


def is_planned(database: Database, id: str) -> bool:
    """Whether a worker would look at the atlas."""
    with database.session() as session:
        found = chores.claim(session, subjects.EXPAND, "looker", limit=100, lease_seconds=60)
        session.rollback()
    return found is not None and id in {task.subject for task in found.tasks}


def set_weights(database: Database, sha256: str) -> str:
    """Let the network have other weights, as a later inspection would find; returns those before."""
    network = {"id": staging.NETWORK, "new": sha256}
    with database.session() as session:
        before = session.execute(
            text("SELECT spec_sha256 FROM networks WHERE id = :id"), network
        ).scalar_one()
        session.execute(text("UPDATE networks SET spec_sha256 = :new WHERE id = :id"), network)
    return str(before)
