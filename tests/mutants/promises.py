"""What the queue promises, each with a change that breaks it and the tests that must notice."""

from tests.mutants.mutant import Mutant

_BATCHES = "services/queue/batches.py"
_CRASHES = "services/queue/crashes.py"
_LEASES = "services/queue/leases.py"
_RECONCILIATION = "services/queue/reconciliation.py"
_RENEWAL = "worker/leasing/lease_renewal.py"
_TEST_BATCHES = "tests/integration/queue/test_batches.py"
_TEST_LOCKS = "tests/integration/queue/test_locks.py"
_TEST_RENEWAL = "tests/unit/worker/leasing/test_lease_renewal.py"
_TEST_GIVING_WAY = "tests/unit/worker/leasing/test_giving_way.py"
_TEST_COLLECTION = "tests/integration/upkeep/test_collection.py"

_CLAIMS = (
    Mutant(
        "whoever takes the first item of a batch is not waited for",
        _BATCHES,
        "    ORDER BY queue_order LIMIT 1\n    FOR NO KEY UPDATE SKIP LOCKED",
        "    ORDER BY queue_order LIMIT 1\n    FOR NO KEY UPDATE",
        (
            f"{_TEST_LOCKS}::test_a_claim_waits_for_nobody_and_takes_what_is_free",
            f"{_TEST_LOCKS}::test_a_claim_finds_nothing_where_another_takes_all",
        ),
    ),
    Mutant(
        "whoever takes items of the same batch is not waited for",
        _BATCHES,
        "    ORDER BY queue_order LIMIT :limit\n    FOR NO KEY UPDATE SKIP LOCKED",
        "    ORDER BY queue_order LIMIT :limit\n    FOR NO KEY UPDATE",
        (f"{_TEST_LOCKS}::test_a_claim_waits_for_nobody_and_takes_what_is_free",),
    ),
    Mutant(
        "an item that was in a crash joins no batch",
        _BATCHES,
        "batch_key = :batch_key AND crash_count = 0",
        "batch_key = :batch_key",
        (f"{_TEST_BATCHES}::test_an_item_that_was_in_a_crash_joins_no_batch",),
    ),
    Mutant(
        "an item that was in a crash is taken alone",
        _BATCHES,
        "    if head.crash_count == 0:",
        "    if head.crash_count >= 0:",
        (
            f"{_TEST_BATCHES}::test_after_a_crash_each_item_is_tried_alone_and_the_innocent_are_cleared",
            f"{_TEST_BATCHES}::test_an_item_that_was_in_a_crash_joins_no_batch",
        ),
    ),
    Mutant(
        "a batch is of one kind",
        _BATCHES,
        "AND lane = :lane AND batch_key = :batch_key AND",
        "AND lane = :lane AND :batch_key <> '' AND",
        (f"{_TEST_BATCHES}::test_a_batch_is_of_one_network_layer_generator_and_recipe",),
    ),
    Mutant(
        "items are claimed in their order",
        _BATCHES,
        "    ORDER BY queue_order LIMIT 1\n",
        "    ORDER BY queue_order DESC LIMIT 1\n",
        (f"{_TEST_BATCHES}::test_a_batch_is_of_one_network_layer_generator_and_recipe",),
    ),
    Mutant(
        "what has to wait is not claimed",
        _BATCHES,
        "WHERE state = 'queued' AND lane = :lane AND (not_before IS NULL OR not_before <= now())\n"
        "    AND 'network:'",
        "WHERE state = 'queued' AND lane = :lane\n    AND 'network:'",
        (
            f"{_TEST_BATCHES}::test_an_error_worth_another_try_is_tried_three_times_each_time_later",
            f"{_TEST_BATCHES}::test_after_a_crash_an_item_waits_longer_each_time_and_others_go_first",
        ),
    ),
    Mutant(
        "a job runs from its first claim",
        _BATCHES,
        '    session.execute(_START_JOBS, {"digests": digests})\n',
        "",
        (f"{_TEST_BATCHES}::test_a_job_runs_from_its_first_claim",),
    ),
)
_REPORTS = (
    Mutant(
        "only what a lease holds can be finished under it",
        _BATCHES,
        'if held.get(result["digest"]) == State.LEASED and result["digest"] not in accepted | again',
        'if result["digest"] not in accepted | again',
        (
            f"{_TEST_BATCHES}::test_the_item_of_another_lease_cannot_be_finished",
            f"{_TEST_BATCHES}::test_a_worker_that_lost_its_lease_changes_nothing",
        ),
    ),
    Mutant(
        "what was canceled is not finished any more",
        _BATCHES,
        'if held.get(result["digest"]) == State.LEASED and result',
        'if result["digest"] in held and result',
        (f"{_TEST_LOCKS}::test_what_is_canceled_while_it_is_finished_is_one_of_both",),
    ),
    Mutant(
        "a report locks the lease before its items",
        _BATCHES,
        "    if not leases.hold(session, lease_id):\n        return None\n    return {digest",
        '    session.execute(_LOCK_HELD, {"lease": lease_id}).all()\n'
        "    if not leases.hold(session, lease_id):\n"
        "        return None\n"
        "    return {digest",
        (f"{_TEST_LOCKS}::test_a_lease_is_locked_before_its_items",),
    ),
    Mutant(
        "a report locks items in the order of their digests",
        _BATCHES,
        "WHERE lease_id = :lease ORDER BY digest FOR NO KEY UPDATE",
        "WHERE lease_id = :lease ORDER BY digest DESC FOR NO KEY UPDATE",
        (f"{_TEST_LOCKS}::test_items_are_locked_by_digest_after_their_leases_and_before_any_job",),
    ),
    Mutant(
        "jobs are locked in the order of their ids",
        "services/jobs/job_counters.py",
        ".where(JobRow.id.in_(wanted), JobRow.state.in_(_OPEN_JOBS))\n        .order_by(JobRow.id)",
        ".where(JobRow.id.in_(wanted), JobRow.state.in_(_OPEN_JOBS))\n        .order_by(JobRow.id.desc())",
        (f"{_TEST_LOCKS}::test_jobs_are_locked_by_id_after_all_the_items",),
    ),
    Mutant(
        "what is given back is charged no attempt",
        _BATCHES,
        "SET state = CASE state WHEN 'leased' THEN 'queued' ELSE state END, lease_id = NULL",
        "SET state = CASE state WHEN 'leased' THEN 'queued' ELSE state END, lease_id = NULL,\n"
        "    attempt = attempt + 1",
        (f"{_TEST_BATCHES}::test_released_items_keep_their_turn_and_are_charged_nothing",),
    ),
    Mutant(
        "three errors of its own are final for an item",
        _BATCHES,
        "r.retryable AND old.attempt + 1 < :attempts",
        "r.retryable AND old.attempt < :attempts",
        (f"{_TEST_BATCHES}::test_an_error_worth_another_try_is_tried_three_times_each_time_later",),
    ),
    Mutant(
        "an error that will not go away is final at once",
        _BATCHES,
        "r.retryable AND old.attempt + 1 < :attempts",
        "old.attempt + 1 < :attempts",
        (f"{_TEST_BATCHES}::test_an_error_that_will_not_go_away_fails_at_once_and_alone",),
    ),
    Mutant(
        "an attempt after an error waits, longer each time",
        _BATCHES,
        "clock_timestamp() + make_interval(secs => :backoff * power(2, old.attempt)) END",
        "clock_timestamp() + make_interval(secs => :backoff) END",
        (f"{_TEST_BATCHES}::test_an_error_worth_another_try_is_tried_three_times_each_time_later",),
    ),
    Mutant(
        "a lease ends with its last item",
        _BATCHES,
        "    if ends:\n        leases.close(session, lease_id, outcome=outcome)\n",
        "",
        (f"{_TEST_BATCHES}::test_finishing_ends_the_job_and_the_lease_in_one_transaction",),
    ),
    Mutant(
        "jobs count their items in the transaction that ends them",
        _BATCHES,
        "    update_counters(session, changes, let_go)\n",
        "    update_counters(session, {}, let_go)\n",
        (f"{_TEST_BATCHES}::test_finishing_ends_the_job_and_the_lease_in_one_transaction",),
    ),
)
_CRASHED = (
    Mutant(
        "three crashes alone are final for an item",
        _CRASHES,
        "WHEN crashes >= :limit THEN 'failed'",
        "WHEN crashes > :limit THEN 'failed'",
        (f"{_TEST_BATCHES}::test_three_crashes_alone_are_final",),
    ),
    Mutant(
        "a crash in company convicts nobody",
        _CRASHES,
        "greatest(old.crash_count, 1) + CAST(death.alone AS int)",
        "greatest(old.crash_count, 1) + 1",
        (
            f"{_TEST_BATCHES}::test_who_kills_every_worker_from_outside_condemns_no_item_while_others_wait",
            f"{_TEST_BATCHES}::test_three_crashes_alone_are_final",
        ),
    ),
    Mutant(
        "what was only being delivered is not to blame",
        _CRASHES,
        "later.id > leases.id AND later.worker_id",
        "later.id > leases.id AND false AND later.worker_id",
        (f"{_TEST_BATCHES}::test_an_item_that_was_only_being_delivered_is_not_to_blame",),
    ),
    Mutant(
        "after a crash an item waits, longer each time",
        _CRASHES,
        "make_interval(secs => :backoff * power(:growth, verdict.crashes - 1)) END",
        "make_interval(secs => :backoff + 0 * :growth) END",
        (f"{_TEST_BATCHES}::test_after_a_crash_an_item_waits_longer_each_time_and_others_go_first",),
    ),
    Mutant(
        "items of a dead worker are locked in the order of their digests",
        _CRASHES,
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
        (_TEST_RENEWAL,),
    ),
    Mutant(
        "time counts from before the claim was sent",
        "worker/batches/runner.py",
        "        began = time.monotonic()\n        claim = self._claim(lanes)\n",
        "        claim = self._claim(lanes)\n        began = time.monotonic()\n",
        ("tests/integration/worker/test_batches.py::test_a_lease_is_counted_from_before_the_claim_was_sent",),
    ),
    Mutant(
        "bulk has its share however much interactive work waits",
        "worker/leasing/giving_way.py",
        "self._owed += seconds * BULK_SHARE / (1 - BULK_SHARE)",
        "self._owed += 0 * seconds",
        (f"{_TEST_GIVING_WAY}::test_bulk_has_its_share_of_every_window_however_much_interactive_work_waits",),
    ),
    Mutant(
        "what waits at one look only is left to an idle worker",
        "worker/leasing/giving_way.py",
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

MUTANTS = (
    *_CLAIMS,
    *_REPORTS,
    *_CRASHED,
    *_RENEWALS,
    *_OBJECTS,
)
