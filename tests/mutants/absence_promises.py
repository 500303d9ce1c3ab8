"""What holds while the database is away and afterwards, and what becomes of leases that have ended."""

from tests.mutants.mutant import Mutant

_LEASES = "services/queue/leases.py"
_TEST_KINDS = "tests/integration/queue/test_kinds.py"
_TEST_AWAY = "tests/integration/queue/test_database_away.py"
_TEST_ENDED = "tests/integration/queue/test_ended_leases.py"
_TEST_CONTACT = "tests/unit/worker/leasing/test_database_contact.py"

_ABSENCES = (
    Mutant(
        "nobody is taken for dead before the database has been answering for a while",
        "worker/leasing/work_loop.py",
        "        if self._may_judge():\n",
        "        if True:\n",
        (f"{_TEST_KINDS}::test_nothing_is_taken_back_before_the_database_is_trusted",),
    ),
    Mutant(
        "after a long absence the database has to prove itself again",
        "worker/leasing/database_contact.py",
        "now - self._last > self._half:",
        "False:",
        (f"{_TEST_CONTACT}::test_after_a_long_absence_it_has_to_answer_for_half_a_lease_again",),
    ),
    Mutant(
        "living workers get time to be heard after an absence",
        "worker/leasing/database_contact.py",
        "return self._last - self._since >= self._half",
        "return True",
        (f"{_TEST_CONTACT}::test_a_database_is_trusted_once_it_has_been_answering_for_half_a_lease",),
    ),
    Mutant(
        "what is cut short is given back",
        "worker/leasing/work_kinds.py",
        "                self._held.give_back(self.kind, claim.lease_id)\n                if",
        "                if",
        (f"{_TEST_KINDS}::test_what_is_cut_short_is_given_back_at_no_charge",),
    ),
    Mutant(
        "what is owed is given back as soon as the database answers",
        "worker/leasing/held_leases.py",
        "        self.contact.answered()\n        self.give_back_owed()\n",
        "        self.contact.answered()\n",
        (f"{_TEST_AWAY}::test_what_could_not_be_given_back_meanwhile_is_given_back_at_once",),
    ),
    Mutant(
        "a worker that stops gives back what it owes",
        "worker/leasing/work_loop.py",
        "            self._give_back_at_last()\n",
        "",
        (f"{_TEST_KINDS}::test_a_worker_that_stops_gives_back_what_it_owes_as_long_as_it_has_time",),
    ),
)
_ENDED = (
    Mutant(
        "ended leases are kept for a while",
        _LEASES,
        "ended_at < clock_timestamp() - make_interval(secs => :seconds)",
        "ended_at < clock_timestamp() + make_interval(secs => :seconds)",
        (f"{_TEST_ENDED}::test_a_lease_of_any_kind_is_kept_for_a_while_once_it_has_ended_and_then_removed",),
    ),
    Mutant(
        "later leases of a worker are kept while it holds an earlier one",
        _LEASES,
        "AND held.id < leases.id",
        "AND false",
        (f"{_TEST_ENDED}::test_while_a_worker_holds_a_lease_its_later_ones_are_kept",),
    ),
    Mutant(
        "a worker that always holds something keeps no lease for ever",
        _LEASES,
        "AND held.id < leases.id",
        "",
        (
            f"{_TEST_ENDED}::test_while_a_worker_holds_a_lease_its_later_ones_are_kept",
            f"{_TEST_ENDED}::test_a_collecting_worker_removes_them",
        ),
    ),
    Mutant(
        "a collecting worker removes leases that ended long ago",
        "worker/upkeep/rounds.py",
        "            leases.forget_ended(session)\n",
        "            pass\n",
        (f"{_TEST_ENDED}::test_a_collecting_worker_removes_them",),
    ),
)

ABSENCE_PROMISES = (
    *_ABSENCES,
    *_ENDED,
)
