"""Two atlases to compare, and who compares them."""

import pytest

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from tests.integration.atlases.building import carry_out, make
from tests.integration.comparison.comparing import LATER, finish
from tests.integration.search.indexed import direction
from worker.comparison.comparison_turn import Comparing
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag


@pytest.fixture
def worker(staged: Database, store: ObjectStore, settings: Settings) -> Comparing:
    stop = StopFlag()
    return Comparing(HeldLeases(staged, settings, "tester", stop), store, stop, alternating=False)


@pytest.fixture
def pair(staged: Database, store: ObjectStore) -> tuple[str, str]:
    """Atlases of a network and of a later checkpoint: units have moved the more, the larger their number is.
    Unit 0 is in the first alone, unit 10 in the second."""
    with staged.session() as session:
        wanted = {"source": "file", "architecture": "timm:small", "weights": "later.safetensors"}
        register_network(session, RegisterNetwork.model_validate({"id": LATER, **wanted}))
        layers = [
            LayerInfo("blocks.4", "block", 112, (7, 7), 99, 16),
            LayerInfo("features.0", "conv", 3, (7, 7), 9, 2),
            LayerInfo("head", "output", 400, None, None, None),
        ]
        found = {"preprocessing": {"size": 32}, "labels": [], "layers": layers}
        record_inspection(session, LATER, weights_sha256="c" * 64, **found)  # type: ignore[arg-type]
    first = make(staged, layers="all", units="0-9", visibility="public")
    carry_out(staged, first)
    finish(staged, store, {u: direction(str(u)) for u in range(11)}, activation=3.0)
    second = make(staged, network=LATER, layers="all", units="1-10", visibility="public")
    carry_out(staged, second)
    moved = {u: direction(f"moved {u}", 0.005 * u, direction(str(u))) for u in range(11)}
    finish(staged, store, moved, activation=5.0, predictions=[[8, 0.6]])
    return first, second
