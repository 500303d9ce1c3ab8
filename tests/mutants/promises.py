"""What the queue promises, each with a change that breaks it and the tests that must notice."""

from tests.mutants.mutant import Mutant

_LEASES = "services/queue/leases.py"
_RECONCILE = "services/queue/reconciliation.py"
_RENEWAL = "worker/leasing/lease_renewal.py"
_COLLECTED = "services/upkeep/collected.py"
_TEST_LEASES = "tests/integration/queue/test_leases.py"
_TEST_LOCKS = "tests/integration/queue/test_locks.py"
_TEST_RENEWAL = "tests/unit/worker/leasing/test_lease_renewal.py"

MUTANTS = (
    Mutant(
        "a claim waits for nobody who takes items of the same batch",
        _LEASES,
        "    ORDER BY queue_order LIMIT :limit\n    FOR NO KEY UPDATE SKIP LOCKED",
        "    ORDER BY queue_order LIMIT :limit\n    FOR NO KEY UPDATE",
        (_TEST_LOCKS,),
    ),
)
