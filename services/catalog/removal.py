"""Removing what nothing needs any more: networks, generators, trainings and jobs.

Pictures that are done are never removed, since their addresses are promised for ever; so what they were made
from stays too. Nothing is deleted from the store here: garbage collection finds what no row points to.
"""

from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.access.ownership import Owned, check_may_change
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.visibility import may_end_import, sees, sees_part
from services.base.errors import Conflict, NotFound
from services.base.states import ENDED_TRAININGS, AtlasWish
from services.catalog.tables import GeneratorRow, NetworkRow
from services.jobs.tables import JobRow
from services.trainings.tables import TrainingRow

Row = TypeVar("Row", bound=Owned)

_LEFT_OF_NETWORK = text("""
    DELETE FROM visualizations v
    WHERE v.network_id = :id AND NOT EXISTS (SELECT FROM job_visualizations j WHERE j.digest = v.digest)
""")
_DELETE = "DELETE /v1/atlases/"


def remove_job(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Forget a job that has ended. Its pictures stay, under their own addresses.

    In the caller's transaction. `by` is who asks, None for the operator of the service. Raises `NotFound`,
    `Forbidden`, or `Conflict` while it goes on.
    """
    row = _locked(session, JobRow, id, "job")
    if not sees_part(session, row.atlas_no, by):
        raise NotFound("job", id)
    check_may_change(row, by)
    if row.atlas_no is not None:
        raise Conflict(f"The job {id} is a part of an atlas, and goes with that: DELETE /v1/atlases.")
    if row.finished_at is None:
        raise Conflict(f"The job {id} is {row.state}; cancel it first: POST /v1/jobs/{id}/cancel.")
    session.delete(row)
    session.flush()


def remove_training(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Forget a training that has ended, with its log and samples. The generator it made stays.

    As `remove_job`.
    """
    row = _locked(session, TrainingRow, id, "training")
    check_may_change(row, by)
    if row.state not in ENDED_TRAININGS:
        raise Conflict(f"The training {id} is {row.state}; cancel it first: POST /v1/trainings/{id}/cancel.")
    session.delete(row)
    session.flush()


def remove_generator(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Remove a generator with which no picture was made or is to be made.

    As `remove_job`; `Conflict` says what needs it: it is the default one, or there are pictures, or a
    training that made it or starts from it.
    """
    row = _locked(session, GeneratorRow, id, "generator")
    check_may_change(row, by)
    if row.is_default:
        raise Conflict(f"The generator {id!r} is the default one: jobs that name none use it.")
    if digest := _any(session, "SELECT digest FROM visualizations WHERE generator_id = :id LIMIT 1", id):
        raise Conflict(f"Pictures were made with the generator {id!r}, such as {digest}; they keep it.")
    made_with = sa.select(AtlasVersionRow.atlas_no).where(AtlasVersionRow.generator_id == id)
    _check_no_atlas(session, AtlasRow.no.in_(made_with), f"is made with the generator {id!r}", by)
    training = _any(
        session,
        """
        SELECT id FROM trainings
        WHERE generator_id = :id OR (finished_at IS NULL AND request ->> 'warm_start' = :id) LIMIT 1
        """,
        id,
    )
    if training:
        raise Conflict(
            f"The training {training} made the generator {id!r} or starts from it; remove that first: "
            f"DELETE /v1/trainings/{training}."
        )
    session.delete(row)
    session.flush()


def remove_network(session: Session, id: str, *, by: Principal | None = None) -> None:
    """Remove a network of which there is no picture, and which no job, training or scan needs.

    What is left of visualizations that failed or were canceled, and whose jobs are gone, goes with it, and
    so do the scans of real pictures that have ended. As `remove_job`; `Conflict` says what needs it.
    """
    row = _locked(session, NetworkRow, id, "network")
    check_may_change(row, by)
    _check_no_atlas(session, AtlasRow.network_id == id, f"shows the network {id!r}", by)
    if digest := _any(
        session, "SELECT digest FROM visualizations WHERE network_id = :id AND state = 'done' LIMIT 1", id
    ):
        raise Conflict(f"There are pictures of the network {id!r}, such as {digest}; they keep it.")
    job = _any(
        session,
        """
        SELECT j.job_id FROM job_visualizations j JOIN visualizations v ON v.digest = j.digest
        WHERE v.network_id = :id LIMIT 1
        """,
        id,
    )
    if job:
        raise Conflict(
            f"The job {job} asks for pictures of {id!r}; remove that first: DELETE /v1/jobs/{job}."
        )
    training = _any(
        session,
        """
        SELECT id FROM trainings
        WHERE finished_at IS NULL AND request -> 'encoder' ->> 'network' = :id LIMIT 1
        """,
        id,
    )
    if training:
        raise Conflict(
            f"The training {training} inverts the network {id!r}; cancel it first: "
            f"POST /v1/trainings/{training}/cancel."
        )
    scan = _any(session, "SELECT id FROM scans WHERE network_id = :id AND finished_at IS NULL LIMIT 1", id)
    if scan:
        raise Conflict(
            f"The scan {scan} looks at pictures with {id!r}; cancel it first: POST /v1/scans/{scan}/cancel."
        )
    session.execute(_LEFT_OF_NETWORK, {"id": id})
    session.delete(row)  # its layers and scans go with it
    session.flush()


def _locked(session: Session, kind: type[Row], id: str, what: str) -> Row:
    row = session.get(kind, id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFound(what, id)
    return row


def _check_no_atlas(
    session: Session, needs_it: sa.ColumnElement[bool], why: str, by: Principal | None
) -> None:
    """Raises `Conflict` where an atlas needs what is to be removed; names it to those who see it."""
    atlas = session.scalars(sa.select(AtlasRow).where(needs_it).order_by(AtlasRow.no).limit(1)).first()
    if atlas is None:
        return
    if atlas.wish == AtlasWish.DELETE:
        raise Conflict(f"An atlas that {why} is being removed; try again in a moment.")
    if may_end_import(atlas, by):
        raise Conflict(f"The import {atlas.id} {why}; end that first: {_DELETE}{atlas.id}.")
    if not sees(atlas, by):
        raise Conflict(f"A private atlas of another key {why}; its owner or an admin may remove that.")
    raise Conflict(f"The atlas {atlas.id} {why}; remove that first: {_DELETE}{atlas.id}.")


def _any(session: Session, query: str, id: str) -> str | None:
    found: str | None = session.execute(text(query), {"id": id}).scalar()
    return found
