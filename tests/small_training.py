"""A training so small that it takes seconds, as a job on the real servers with the real process."""

import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from sqlalchemy import text

from imago_engine.networks import LayerInfo
from services.base.database import Database
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.trainings import trainings
from services.trainings.trainings import TrainingRequest, TrainingView
from tests.worker_processes import Scene, until

ENCODER = "efficientnet_lite0.imagenet"
ENCODER_SHA256 = "0d45b9665bd5196c71427843e1f112980c1d29002297955250dcead85fd393b9"
LAYER = "global_pool"
MAP = "blocks.6"
"""A layer whose channels have places: 4 each way at 128 pixels."""
BATCH = 8
PICTURES, HELD_OUT = 40, 8
SMALL: dict[str, Any] = {
    "sources": ["discs"],
    "encoder": {"network": ENCODER, "layer": LAYER, "input_size": 32},
    "image_size": 32,
    "feature_size": 32,
    "batch": BATCH,
    "minimum": 16,
    "held_out": HELD_OUT,
    "options": {"width": 0.125},  # a checkpoint of 30 MB instead of 160
    "sample_seconds": 5,
    "checkpoint_seconds": 3,
}
ENDLESS = 10**9
"""Pictures of a training that would go on for much longer than the test."""


def register_encoder(database: Database) -> None:
    """The encoder as an inspection would have it."""
    with database.session() as session:
        register_network(session, RegisterNetwork(id=ENCODER))
        record_inspection(
            session,
            ENCODER,
            weights_sha256=ENCODER_SHA256,
            preprocessing={"size": 224},
            labels=(),
            layers=[
                LayerInfo(MAP, "block", 320, (7, 7), 299, 32),
                LayerInfo("bn2", "norm", 1280, (7, 7), None, None),
                LayerInfo(LAYER, "pool", 1280, None, None, None),
            ],
        )


def draw_pictures(folder: Path, count: int = PICTURES) -> None:
    """Discs of many colours on grounds of many colours; 8 of them, a row of a grid, to be held out."""
    (folder / "val").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(count):
        pixels = np.full((40, 48, 3), random.integers(0, 256, 3), np.uint8)
        y, x = np.mgrid[:40, :48]
        inside = (y - random.integers(10, 30)) ** 2 + (x - random.integers(10, 38)) ** 2 < 100
        pixels[inside] = random.integers(0, 256, 3)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (folder / ("val" if index < HELD_OUT else ".") / f"{index:03d}.png").write_bytes(buffer.getvalue())


@dataclass
class TrainingScene:
    """A `Scene` whose workers see a folder of pictures."""

    scene: Scene

    @classmethod
    def build(cls, scene: Scene) -> "TrainingScene":
        root = scene.folder / "data"
        draw_pictures(root / "discs")
        scene.environment["IMAGO_DATA_ROOT"] = str(root)
        # What is computed here is heavier than a small batch: a busy machine must not look like a dead one.
        scene.environment["IMAGO_LEASE_SECONDS"] = "10"
        register_encoder(scene.database)
        return cls(scene)

    def submit(self, name: str = "discs-32", pictures: int = ENDLESS, **changes: Any) -> str:
        request = TrainingRequest.model_validate({**SMALL, "pictures": pictures, **changes})
        with self.scene.database.session() as session:
            return trainings.submit(session, name, request).id

    def get(self, id: str) -> TrainingView:
        with self.scene.database.session() as session:
            return trainings.get(session, id)

    def wait_until(self, id: str, state: str) -> TrainingView:
        self._until(id, lambda seen: seen.ended or seen.state == state, f"the training is {state}")
        found = self.get(id)
        assert found.state == state, f"{found.state}: {found.error}\n{self.scene.workers[-1].tail()}"
        return found

    def wait_until_saved(self, id: str, after: int = 0) -> int:
        """Until a checkpoint of more pictures than that is stored; returns of how many."""

        def saved(seen: TrainingView) -> bool:
            assert not seen.ended, f"{seen.state}: {seen.error}"
            return self.column(id, "checkpoint_object") is not None and seen.pictures > after

        self._until(id, saved, "a checkpoint is stored")
        return self.get(id).pictures

    def plan(self, id: str, pictures: int) -> None:
        """Have a training that was to be endless come to an end after so many."""
        with self.scene.database.session() as session:
            session.execute(
                text(
                    "UPDATE trainings SET request = jsonb_set(request, '{pictures}', to_jsonb(:n)) "
                    "WHERE id = :id"
                ),
                {"n": pictures, "id": id},
            )

    def hasten(self, id: str) -> None:
        """Have one that was put off due now."""
        with self.scene.database.session() as session:
            session.execute(text("UPDATE trainings SET not_before = now() WHERE id = :id"), {"id": id})

    def column(self, id: str, name: str) -> Any:
        with self.scene.database.session() as session:
            return session.execute(
                text(f"SELECT {name} FROM trainings WHERE id = :id"), {"id": id}
            ).scalar_one()

    def wait_until_column(self, id: str, name: str, value: Any) -> None:
        until(lambda: bool(self.column(id, name) == value), f"{name} is {value}")

    def process(self) -> psutil.Process:
        """The process that trains for the newest worker, once it runs."""
        worker = psutil.Process(self.scene.workers[-1].pid)
        found: list[psutil.Process] = []

        def appears() -> bool:
            with suppress(psutil.NoSuchProcess):
                found[:] = [
                    p for p in worker.children(recursive=True) if "imago_engine.training" in p.cmdline()
                ]
            return bool(found)

        until(appears, "the training's process runs")
        return found[0]

    def _until(self, id: str, condition: Any, what: str) -> None:
        try:
            until(lambda: bool(condition(self.get(id))), what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.get(id)}\n{self.scene.workers[-1].tail()}") from None
