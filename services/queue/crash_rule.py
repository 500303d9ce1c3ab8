"""Give up work that kills its workers (`poisoned`), but not work whose workers were killed from outside.

A worker that vanished says nothing: what it had in hand may have killed it, or someone pulled the plug. Only
a death while it had one thing alone in hand counts against that thing, and only `CRASHES_ALONE` of them have
it given up. After each the thing waits, longer each time, while others go first: what kills its workers will
do so again whenever it is tried, but one who kills workers from outside hits another thing each time.
"""

CRASHES_ALONE = 3
"""Deaths of workers, each while they had this and nothing else in hand, after which it is given up."""

# Beside batches and trainings other threads or processes are at work, or these are only being delivered.
_AROUND = """
    SELECT FROM leases around WHERE around.id < leases.id AND around.worker_id = leases.worker_id
    AND around.kind NOT IN (leases.kind, 'batch', 'training')
"""
# crash_count is 1 after a crash in company, and 1 more for each crash alone: what was alone from the start
# goes to 2 at once. A worker claims again as soon as a batch is computed, so a later lease of the same worker
# that was open when it died tells that this one was only being delivered, or rested for that. Later ones that
# had ended by then say nothing: a look or a map does others' work in its midst. What is done in the midst of
# a chore or an inspection is not alone either. Few leases are younger than one that is still open.
_DEATH = f"""
    JOIN leases ON leases.id = old.lease_id
    CROSS JOIN LATERAL (
        SELECT leases.items = 1 AND NOT EXISTS (
            SELECT FROM leases later WHERE later.id > leases.id AND later.worker_id = leases.worker_id
            AND (later.ended_at IS NULL OR later.outcome = 'expired')
        ) AND NOT EXISTS (
            {_AROUND} AND around.ended_at IS NULL
        ) AND NOT EXISTS (
            {_AROUND} AND around.ended_at > leases.created_at AND around.outcome = 'expired'
        ) AS alone
    ) AS death
"""
_CRASH = f"""
    CROSS JOIN LATERAL (
        SELECT least(greatest(old.crash_count, 1) + CAST(death.alone AS int), 100) AS crashes
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT counted.crashes, counted.crashes > {CRASHES_ALONE} AS poisoned,
            make_interval(secs => 5 * power(4, least(counted.crashes - 1, 6))) AS wait
    ) AS crash
"""
CRASH_RULE = _DEATH + _CRASH
"""SQL that follows `FROM x old`, rows that expired leases hold, which have a `lease_id` and a `crash_count`.
`crash` has the new count in `crashes`, whether it is `poisoned`, and how long it is to `wait`: 5 seconds
after a crash in company, and four times as long after each one alone."""
CHARGE_RULE = "CROSS JOIN (SELECT true AS alone) AS death" + _CRASH
"""The same of what did not come to an end by its own fault, though its worker lives."""


def poisoned_message(doing: str) -> str:
    """Why something is given up, for people. `doing` as in `computed this item`."""
    return f"The worker died each time it {doing}, {CRASHES_ALONE} times while it did nothing else."
