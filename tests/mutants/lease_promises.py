"""What leases promise: what follows when workers die or lose them, of every kind of work, and of objects."""

from tests.mutants.mutant import Mutant

_BATCHES = "services/queue/batches.py"
_BATCH_CRASHES = "services/queue/batch_crashes.py"
_CRASH_RULE = "services/queue/crash_rule.py"
_LEASES = "services/queue/leases.py"
_RECONCILIATION = "services/queue/reconciliation.py"
_RENEWAL = "worker/leasing/lease_renewal.py"
_TEST_BATCHES = "tests/integration/queue/test_batches.py"
_TEST_CRASHES = "tests/integration/queue/test_crashes.py"
_TEST_LOCKS = "tests/integration/queue/test_locks.py"
_TEST_RENEWAL = "tests/unit/worker/leasing/test_lease_renewal.py"
_TEST_GIVING_WAY = "tests/unit/worker/batches/test_giving_way.py"
_TEST_COLLECTION = "tests/integration/upkeep/test_collection.py"
_TEST_CHORES = "tests/integration/queue/test_chores.py"

_CRASHED = (
    Mutant(
        "three crashes alone are final for an item",
        _CRASH_RULE,
        "counted.crashes > {CRASHES_ALONE} AS poisoned",
        "counted.crashes > 1 + {CRASHES_ALONE} AS poisoned",
        (f"{_TEST_CRASHES}::test_three_crashes_alone_are_final",),
    ),
    Mutant(
        "a crash in company poisons nothing",
        _CRASH_RULE,
        "greatest(old.crash_count, 1) + CAST(death.alone AS int)",
        "greatest(old.crash_count, 1) + 1",
        (
            f"{_TEST_CRASHES}::test_who_kills_every_worker_from_outside_condemns_no_item_while_others_wait",
            f"{_TEST_CRASHES}::test_three_crashes_alone_are_final",
        ),
    ),
    Mutant(
        "what was only being delivered is not to blame",
        _CRASH_RULE,
        "later.id > leases.id AND later.worker_id",
        "later.id > leases.id AND false AND later.worker_id",
        (f"{_TEST_CRASHES}::test_an_item_that_was_only_being_delivered_is_not_to_blame",),
    ),
    Mutant(
        "after a crash an item waits, longer each time",
        _CRASH_RULE,
        "make_interval(secs => 5 * power(4, least(counted.crashes - 1, 6)))",
        "make_interval(secs => 5)",
        (f"{_TEST_CRASHES}::test_after_a_crash_an_item_waits_longer_each_time_and_others_go_first",),
    ),
    Mutant(
        "items of a dead worker are locked in the order of their digests",
        _BATCH_CRASHES,
        "    ORDER BY digest FOR NO KEY UPDATE",
        "    ORDER BY digest DESC FOR NO KEY UPDATE",
        (f"{_TEST_LOCKS}::test_items_are_locked_by_digest_after_their_leases_and_before_any_job",),
    ),
    Mutant(
        "one process at a time takes back what dead workers held",
        _RECONCILIATION,
        'if not session.execute(_TRY_LOCK, {"lock": _LOCK}).scalar_one():',
        "if not _TRY_LOCK:",
        (f"{_TEST_BATCHES}::test_a_round_of_the_reconciler_excludes_another",),
    ),
    Mutant(
        "a lease that is just being finished is not taken back",
        _LEASES,
        "    LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED",
        "    LIMIT :limit FOR NO KEY UPDATE",
        (f"{_TEST_LOCKS}::test_the_reconciler_leaves_a_lease_that_is_just_being_finished",),
    ),
    Mutant(
        "a lease that was taken back has ended",
        _RECONCILIATION,
        '    leases.close(session, *expired, outcome="expired")\n',
        "",
        (f"{_TEST_BATCHES}::test_a_heartbeat_keeps_the_lease",),
    ),
)
_RENEWALS = (
    Mutant(
        "a heartbeat keeps the lease",
        _LEASES,
        "    UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds),\n"
        "        steps",
        "    UPDATE leases SET expires_at = expires_at + make_interval(secs => 0 * :seconds),\n        steps",
        (f"{_TEST_BATCHES}::test_a_heartbeat_keeps_the_lease",),
    ),
    Mutant(
        "a lease that has ended cannot be renewed",
        _LEASES,
        "    WHERE id = :lease AND ended_at IS NULL RETURNING id",
        "    WHERE id = :lease RETURNING id",
        (f"{_TEST_BATCHES}::test_a_worker_that_lost_its_lease_changes_nothing",),
    ),
    Mutant(
        "a worker without a heartbeat stops before its lease ends",
        _RENEWAL,
        "> FENCE_SHARE * self._lease_seconds",
        "> 10 * self._lease_seconds",
        (f"{_TEST_RENEWAL}::test_a_worker_without_a_heartbeat_fences_itself_before_its_lease_ends",),
    ),
    Mutant(
        "nothing is delivered once the lease is over",
        _RENEWAL,
        "in_time = time.monotonic() - self._confirmed_at <= self._lease_seconds",
        "in_time = True",
        (f"{_TEST_RENEWAL}::test_nothing_is_delivered_once_the_lease_is_over_though_nobody_could_say_so",),
    ),
    Mutant(
        "a lease that the database ended stops the computation",
        _RENEWAL,
        "            if not pulse.alive:\n",
        "            if False and not pulse.alive:\n",
        (f"{_TEST_RENEWAL}::test_a_lease_that_the_database_ended_stops_the_computation_and_the_delivery",),
    ),
    Mutant(
        "a heartbeat survives whatever a pulse raises",
        _RENEWAL,
        "            except Exception:  # a lease must not lapse because of one\n",
        "            except ZeroDivisionError:\n",
        (f"{_TEST_RENEWAL}::test_a_heartbeat_survives_whatever_a_pulse_raises",),
    ),
    Mutant(
        "a batch of which nobody wants anything ends",
        _RENEWAL,
        "if self._running and self._canceled >= self._running:",
        "if self._running and self._canceled > self._running:",
        (
            f"{_TEST_RENEWAL}::test_a_batch_ends_when_none_of_its_own_items_is_wanted_whatever_else_the_lease_holds",
            f"{_TEST_RENEWAL}::test_a_batch_goes_on_while_someone_wants_one_of_its_items",
        ),
    ),
    Mutant(
        "time counts from before a pulse was sent",
        _RENEWAL,
        "            self._confirmed_at = sent_at\n",
        "            self._confirmed_at = time.monotonic()\n",
        (f"{_TEST_RENEWAL}::test_a_lease_is_renewed_from_before_its_pulse_was_sent",),
    ),
    Mutant(
        "time counts from before the claim was sent",
        "worker/batches/runner.py",
        "        began = time.monotonic()\n        claim = self._claim(lanes)\n",
        "        claim = self._claim(lanes)\n        began = time.monotonic()\n",
        ("tests/integration/worker/test_batches.py::test_what_a_keeper_counts_from_is_before_its_claim",),
    ),
    Mutant(
        "bulk has its share however much interactive work waits",
        "worker/batches/giving_way.py",
        "self._owed += seconds * BULK_SHARE / (1 - BULK_SHARE)",
        "self._owed += 0 * seconds",
        (f"{_TEST_GIVING_WAY}::test_bulk_has_its_share_of_every_window_however_much_interactive_work_waits",),
    ),
    Mutant(
        "what waits at one look only is left to an idle worker",
        "worker/batches/giving_way.py",
        "return waited and self._waited",
        "return self._waited",
        (f"{_TEST_GIVING_WAY}::test_work_that_waits_at_two_looks_is_for_this_worker",),
    ),
)
_OBJECTS = (
    Mutant(
        "an item whose object may have been collected is put again",
        _BATCHES,
        "    again &= held.keys()\n",
        "    again = set()\n",
        (f"{_TEST_COLLECTION}::test_a_writer_at_the_same_moment_loses_nothing",),
    ),
    Mutant(
        "the collector waits for a writer that is about to commit",
        _BATCHES,
        "        collected.enter(session)\n",
        "        pass\n",
        (
            f"{_TEST_COLLECTION}::test_the_collector_waits_for_a_writer_that_is_about_to_commit",
            f"{_TEST_COLLECTION}::test_a_writer_at_the_same_moment_loses_nothing",
        ),
    ),
    Mutant(
        "what is being removed counts as gone",
        "services/upkeep/collected.py",
        "AND (removed_at IS NULL OR removed_at >",
        "AND (removed_at >",
        (
            f"{_TEST_COLLECTION}::test_a_writer_at_the_same_moment_loses_nothing",
            f"{_TEST_COLLECTION}::test_a_grid_that_is_being_removed_is_put_again_before_it_is_pointed_to",
        ),
    ),
)
_OTHER_KINDS = (
    Mutant(
        "nobody who claims a training is waited for",
        "services/trainings/leases.py",
        "    ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
        "    ORDER BY id LIMIT 1 FOR NO KEY UPDATE",
        (
            "tests/integration/queue/test_claims_of_every_kind.py::test_what_is_being_claimed_is_neither_waited_for_nor_claimed_again[training]",
        ),
    ),
    Mutant(
        "nobody who claims a chore is waited for",
        "services/queue/chores.py",
        "ORDER BY not_before LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED",
        "ORDER BY not_before LIMIT :limit FOR NO KEY UPDATE",
        (
            "tests/integration/queue/test_claims_of_every_kind.py::test_what_is_being_claimed_is_neither_waited_for_nor_claimed_again[repair]",
        ),
    ),
    Mutant(
        "nobody who claims an inspection is waited for",
        "services/catalog/inspection_leases.py",
        ".with_for_update(skip_locked=True, key_share=True)",
        ".with_for_update(key_share=True)",
        (
            "tests/integration/queue/test_claims_of_every_kind.py::test_what_is_being_claimed_is_neither_waited_for_nor_claimed_again[inspection]",
        ),
    ),
    Mutant(
        "a training's worker may die as long as checkpoints come",
        "services/trainings/leases.py",
        "log_object = :log, deaths = 0,",
        "log_object = :log,",
        ("tests/integration/trainings/test_trainings.py::test_workers_may_die_as_long_as_checkpoints_come",),
    ),
    Mutant(
        "three deaths without a checkpoint end a training",
        "services/trainings/leases.py",
        "WHEN taken.deaths >= :deaths THEN 'failed'",
        "WHEN taken.deaths > :deaths THEN 'failed'",
        ("tests/integration/trainings/test_trainings.py::test_workers_may_die_as_long_as_checkpoints_come",),
    ),
    Mutant(
        "a training that is canceled ends however its worker ends",
        "services/trainings/leases.py",
        "state = CASE state WHEN 'canceling' THEN 'canceled' ELSE 'queued' END",
        "state = 'queued'",
        (
            "tests/integration/trainings/test_trainings.py::test_what_is_canceled_ends_however_its_worker_ends",
        ),
    ),
    Mutant(
        "a training is registered only under its lease",
        "services/trainings/leases.py",
        "    row = held(session, training.id, training.lease_id)\n"
        "    if row is None:\n"
        "        return None\n"
        '    if row.state == "canceling"',
        "    row = held(session, training.id, training.lease_id) or session.execute(\n"
        '        text("SELECT * FROM trainings WHERE id = :id"), {"id": training.id}\n'
        "    ).one()\n"
        '    if row.state == "canceling"',
        (
            "tests/integration/trainings/test_trainings.py::test_a_worker_that_lost_its_lease_changes_nothing",
            "tests/integration/trainings/test_trainings.py::test_a_finished_training_registers_its_generator_once",
        ),
    ),
    Mutant(
        "a chore that was in hand when a worker died is taken alone",
        "services/queue/chores.py",
        "chosen = due[:1] if due[0].crash_count else",
        "chosen = due if due[0].crash_count else",
        (
            "tests/integration/queue/test_chores.py::test_what_kills_its_workers_is_given_up_and_said_why",
            "tests/integration/queue/test_chores.py::test_what_a_dead_worker_had_is_taken_again_and_its_late_reports_change_nothing",
        ),
    ),
    Mutant(
        "a repair that kills its workers is given up",
        "services/queue/chores.py",
        "given_up = old.given_up OR :judged AND crash.poisoned,",
        "given_up = old.given_up,",
        ("tests/integration/queue/test_chores.py::test_what_kills_its_workers_is_given_up_and_said_why",),
    ),
    Mutant(
        "rounds over the store are never given up",
        "services/queue/chores.py",
        '"judged": self.name not in _ROUNDS',
        '"judged": True',
        (f"{_TEST_CHORES}::test_a_round_over_the_store_goes_on_whatever_its_workers_die_of",),
    ),
    Mutant(
        "three failures of a chore are too many",
        "services/queue/chores.py",
        "given_up = :final OR attempt + 1 >= :attempts,",
        "given_up = :final OR attempt >= :attempts,",
        ("tests/integration/queue/test_chores.py::test_three_failures_are_too_many",),
    ),
    Mutant(
        "a lost claim of chores changes nothing",
        "services/queue/chores.py",
        "    if not leases.hold(session, lease_id):\n        return set()\n    ended",
        "    leases.hold(session, lease_id)\n"
        '    session.execute(text("UPDATE work SET lease_id = :lease"), {"lease": lease_id})\n'
        "    ended",
        (
            "tests/integration/queue/test_chores.py::test_what_a_dead_worker_had_is_taken_again_and_its_late_reports_change_nothing",
        ),
    ),
    Mutant(
        "what is found of a network counts only under the lease of its inspection",
        "services/catalog/inspections.py",
        "        if not leases.hold(session, lease_id):\n"
        "            return None\n"
        '        leases.close(session, lease_id, outcome="finished")\n'
        "    row = session.get(NetworkRow, id, with_for_update=True, populate_existing=True)\n"
        "    if row is None or row.lease_id != lease_id:\n",
        "        pass\n"
        "    row = session.get(NetworkRow, id, with_for_update=True, populate_existing=True)\n"
        "    if row is None:\n",
        ("tests/integration/catalog/test_catalog.py::test_what_a_late_inspection_finds_changes_nothing",),
    ),
    Mutant(
        "time counts from before any other claim was sent",
        "worker/leasing/work_kinds.py",
        "        claimed_at = time.monotonic()\n"
        "        with self._database.session() as session:\n"
        "            claim = self.claim(session)\n",
        "        with self._database.session() as session:\n"
        "            claim = self.claim(session)\n"
        "        claimed_at = time.monotonic()\n",
        (
            "tests/integration/queue/test_claims_of_every_kind.py::test_a_lease_of_any_kind_is_counted_from_before_its_claim_was_sent",
        ),
    ),
)

LEASE_PROMISES = (
    *_CRASHED,
    *_RENEWALS,
    *_OBJECTS,
    *_OTHER_KINDS,
)
