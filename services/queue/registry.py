"""All kinds of work that there are."""

from services.catalog.inspection_leases import INSPECTIONS
from services.queue.batches import BATCHES
from services.queue.chores import CHORES
from services.queue.kinds import Kind
from services.search.excitations import EXCITATIONS
from services.trainings.leases import TRAININGS

KINDS: tuple[Kind, ...] = (BATCHES, EXCITATIONS, TRAININGS, INSPECTIONS, *CHORES.values())
BY_NAME = {kind.name: kind for kind in KINDS}
