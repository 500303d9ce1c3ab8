"""Whether the database has been answering for so long that what has expired by now is that of the dead."""

from tests.unit.worker.conftest import Clock
from worker.leasing.database_contact import DatabaseContact

LEASE = 60.0


def hear(clock: Clock, contact: DatabaseContact, seconds: float, every: float = 10) -> None:
    """Answers for so long, the first one now."""
    until = clock.now + seconds
    contact.answered()
    while clock.now < until:
        clock.now += every
        contact.answered()


def test_a_database_is_trusted_once_it_has_been_answering_for_half_a_lease(clock: Clock) -> None:
    contact = DatabaseContact(LEASE)
    assert not contact.steady
    hear(clock, contact, 20)
    assert not contact.steady
    hear(clock, contact, 10)
    assert contact.steady


def test_after_a_long_absence_it_has_to_answer_for_half_a_lease_again(clock: Clock) -> None:
    contact = DatabaseContact(LEASE)
    hear(clock, contact, 100)
    clock.now += LEASE / 2 + 1
    assert not contact.steady  # it may be away
    hear(clock, contact, 20)
    assert not contact.steady  # others may not have been heard yet
    hear(clock, contact, 10)
    assert contact.steady


def test_an_absence_in_which_no_lease_can_lapse_changes_nothing(clock: Clock) -> None:
    contact = DatabaseContact(LEASE)
    hear(clock, contact, 100)
    clock.now += LEASE / 2 - 1
    contact.answered()
    assert contact.steady
