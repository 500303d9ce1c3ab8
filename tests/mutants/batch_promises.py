"""What batches of pictures promise: how they are claimed, and what is reported of them."""

from tests.mutants.mutant import Mutant

_BATCHES = "services/queue/batches.py"
_TAKEABLE = "services/queue/takeable.py"
_TEST_BATCHES = "tests/integration/queue/test_batches.py"
_TEST_CRASHES = "tests/integration/queue/test_crashes.py"
_TEST_LOCKS = "tests/integration/queue/test_locks.py"

_CLAIMS = (
    Mutant(
        "whoever takes the first item of a batch is not waited for",
        _TAKEABLE,
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
        (f"{_TEST_CRASHES}::test_an_item_that_was_in_a_crash_joins_no_batch",),
    ),
    Mutant(
        "an item that was in a crash is taken alone",
        _BATCHES,
        "    if head.crash_count == 0:",
        "    if head.crash_count >= 0:",
        (
            f"{_TEST_CRASHES}::test_after_a_crash_each_item_is_tried_alone_and_the_innocent_are_cleared",
            f"{_TEST_CRASHES}::test_an_item_that_was_in_a_crash_joins_no_batch",
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
        "items that a worker may take are claimed in their order whatever it lacks",
        _TAKEABLE,
        "ORDER BY due.queue_order LIMIT",
        "ORDER BY due.queue_order DESC LIMIT",
        (f"{_TEST_BATCHES}::test_a_worker_that_lacks_something_takes_the_rest_in_its_order",),
    ),
    Mutant(
        "items are claimed in their order",
        _TAKEABLE,
        "    ORDER BY queue_order LIMIT 1\n",
        "    ORDER BY queue_order DESC LIMIT 1\n",
        (f"{_TEST_BATCHES}::test_a_batch_is_of_one_network_layer_generator_and_recipe",),
    ),
    Mutant(
        "what has to wait is not claimed",
        _TAKEABLE,
        "state = 'queued' AND (not_before IS NULL OR not_before <= now())",
        "state = 'queued'",
        (
            f"{_TEST_BATCHES}::test_an_error_worth_another_try_is_tried_three_times_each_time_later",
            f"{_TEST_CRASHES}::test_after_a_crash_an_item_waits_longer_each_time_and_others_go_first",
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
        ".where(JobRow.id.in_(wanted), JobRow.state.in_(OPEN_JOBS))\n        .order_by(JobRow.id)",
        ".where(JobRow.id.in_(wanted), JobRow.state.in_(OPEN_JOBS))\n        .order_by(JobRow.id.desc())",
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

BATCH_PROMISES = (
    *_CLAIMS,
    *_REPORTS,
)
