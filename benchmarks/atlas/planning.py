"""Plan the atlas of `benchmarks.atlas` as the service does: a network of so many units, a request, and all
steps of its expansion, which is what a worker does after the 202."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from imago_engine.networks import LayerInfo
from services.atlases import creation
from services.atlases.atlas_request import AtlasRequest
from services.atlases.building import steps
from services.atlases.building.steps import JobCursor
from services.base.database import Database
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.queue import batches

NETWORK, OTHER = "bench.atlas", "bench.later"
"""The network of the atlas, and one with a layer of as many units, to be compared with it."""
LAYER_UNITS = 4_000
CLASSES = [f"class {number:03}" for number in range(1000)]
_CLAIMED, _CLAIMS = 64, 50
_INFO = {
    "architecture": "compact",
    "code_shape": [16],
    "image_size": 64,
    "encoder": NETWORK,
    "recommended": {"learning_rate": 0.5, "steps": 20},
}


@dataclass(frozen=True)
class Planning:
    """`transaction_s` is the longest of the steps, `grown_mb` by how much memory of the process grew."""

    atlas: str
    seconds: float
    cpu_s: float
    transaction_s: float
    grown_mb: float


def layer_name(number: int) -> str:
    """All are equally long, for rows that are written as one array."""
    return f"layer.{number:04}"


def stage(database: Database, units: int) -> None:
    """Register the networks and a generator; nothing happens where they are there."""
    layers = {NETWORK: -(-units // LAYER_UNITS), OTHER: 1}
    for network, count in layers.items():
        with database.session() as session:
            register_network(session, RegisterNetwork(id=network))
            record_inspection(
                session,
                network,
                weights_sha256="a" * 64 if network == NETWORK else "c" * 64,
                preprocessing={"size": 64},
                labels=CLASSES,
                layers=[
                    LayerInfo(layer_name(number), "block", min(LAYER_UNITS, units), (7, 7), 99, 16)
                    for number in range(count)
                ],
            )
    with database.session() as session:
        register_generator(session, "bench", _INFO, "b" * 64, default=True)


def planned(database: Database, network: str, postgres: Sequence[psutil.Process] = ()) -> Planning:
    """Ask for the atlas of a network, and plan all of it."""
    recipe = {"technique": "dgn-am"}
    request = AtlasRequest.model_validate(
        {"network": network, "layers": "all", "recipe": recipe, "visibility": "public"}
    )
    with database.session() as session:
        atlas = creation.create(session, request, idempotency_key=network)[0].id
    own, longest, cursor = psutil.Process(), 0.0, JobCursor()
    before, began, cpu = own.memory_info().rss, time.monotonic(), _cpu([own, *postgres])
    goes_on = True
    while goes_on:
        at = time.monotonic()
        with database.session() as session:
            done = steps.step(session, atlas, cursor)
        longest = max(longest, time.monotonic() - at)
        cursor, goes_on = done.cursor, done.follows_at_once
    seconds = time.monotonic() - began
    grown = (own.memory_info().rss - before) / 2**20
    return Planning(atlas, seconds, _cpu([own, *postgres]) - cpu, longest, grown)


def claim_ms(database: Database) -> list[float]:
    """Milliseconds of each of so many claims of the bulk lane; what they took is given back."""
    found = []
    for _ in range(_CLAIMS):
        at = time.monotonic()
        with database.session() as session:
            claim = batches.claim(session, "bench", limit=_CLAIMED, lease_seconds=600)
        found.append(1000 * (time.monotonic() - at))
        assert claim is not None
        with database.session() as session:
            batches.release(session, claim.lease_id)
    return found


def _cpu(processes: Sequence[psutil.Process]) -> float:
    """Seconds that they have computed, with those of their children that have ended."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
