"""DELETE at the same moment as another write of the same thing: one of them is first, and the other is told.

Each test stops one of the two where it has read the thing, lets the other remove it, and goes on.
"""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.errors import NotFound
from services.catalog import removal
from services.catalog.generators import register_generator
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import jobs
from services.jobs.tables import JobRow
from tests.integration import staging
from tests.integration.queue.row_locks import Acting, pid_of
from tests.integration.staging import claim, fail, request, submit

OTHER = "resnet18.a1_in1k"
Write = Callable[[Session, str], object]


def _register(session: Session) -> None:
    register_network(session, RegisterNetwork(id=OTHER))


def _register_generator(session: Session) -> None:
    register_generator(session, "another", staging.INFO, "c" * 64)


def _failed_job(staged: Database) -> str:
    id = submit(staged, request("0-3")).job.id
    fail(staged, claim(staged))
    return id


@pytest.mark.parametrize(
    ("table", "id", "register", "remove"),
    [
        ("networks", OTHER, _register, removal.remove_network),
        ("generators", "another", _register_generator, removal.remove_generator),
    ],
)
def test_what_is_registered_while_it_is_removed_is_there_afterwards(
    staged: Database, table: str, id: str, register: Callable[[Session], None], remove: Write
) -> None:
    with staged.session() as session:
        register(session)
    with staged.session() as removing:
        # As the removal does first.
        removing.execute(text(f"SELECT 1 FROM {table} WHERE id = :id FOR UPDATE"), {"id": id}).one()
        registering = Acting(staged, register)
        registering.until_it_waits_for(pid_of(removing))
        remove(removing, id)
    registering.end()
    with staged.session() as session:
        found = session.scalars(text(f"SELECT id FROM {table} WHERE id = :id"), {"id": id}).all()
    assert found == [id]


@pytest.mark.parametrize("write", [jobs.cancel, jobs.retry])
def test_a_job_that_is_removed_before_its_items_are_locked_is_not_found(
    staged: Database, write: Write
) -> None:
    id = _failed_job(staged)
    with staged.session() as removing:
        removing.execute(text("SELECT 1 FROM visualizations FOR UPDATE"))
        writing = Acting(staged, lambda session: write(session, id))
        writing.until_it_waits_for(pid_of(removing))
        removal.remove_job(removing, id)
    with pytest.raises(NotFound, match=id):
        writing.end()
    staging.assert_consistent(staged)


@pytest.mark.parametrize("write", [jobs.cancel, jobs.retry])
def test_a_job_that_is_being_removed_is_waited_for_and_not_found(staged: Database, write: Write) -> None:
    id = _failed_job(staged)
    with staged.session() as removing:
        removal.remove_job(removing, id)
        writing = Acting(staged, lambda session: write(session, id))
        writing.until_it_waits_for(pid_of(removing))
    with pytest.raises(NotFound, match=id):
        writing.end()
    with staged.session() as session:
        states = session.scalars(text("SELECT DISTINCT state FROM visualizations")).all()
    assert states == ["failed"]
    staging.assert_consistent(staged)


@pytest.mark.parametrize("write", [jobs.cancel, jobs.retry])
def test_a_job_is_kept_until_who_writes_it_has_ended(staged: Database, write: Write) -> None:
    id = _failed_job(staged)
    with staged.session() as session:
        session.execute(text("UPDATE jobs SET state = 'canceled', failed = 0, canceled = 4, errors = '{}'"))
        session.execute(text("UPDATE visualizations SET state = 'canceled', error = NULL"))
    with staged.session() as writing:
        write(writing, id)
        removing = Acting(staged, lambda session: removal.remove_job(session, id))
        removing.until_it_waits_for(pid_of(writing))
        writing.rollback()
    removing.end()
    with staged.session() as session:
        assert session.get(JobRow, id) is None
