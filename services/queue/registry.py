"""All kinds of work that there are."""

from services.queue.batches import BATCHES
from services.queue.kinds import Kind

KINDS: tuple[Kind, ...] = (BATCHES,)
BY_NAME = {kind.name: kind for kind in KINDS}
