"""What queue and atlases promise, each with a change that breaks it and the tests that must notice."""

from tests.mutants.absence_promises import ABSENCE_PROMISES
from tests.mutants.atlas_promises import ATLAS_PROMISES
from tests.mutants.batch_promises import BATCH_PROMISES
from tests.mutants.lease_promises import LEASE_PROMISES
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*BATCH_PROMISES, *LEASE_PROMISES, *ABSENCE_PROMISES, *ATLAS_PROMISES)
