"""Scans of a few dozen small pictures, of every kind of source, with real servers."""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import text

from services.base.storage import ObjectStore
from services.exemplars import found, scans
from services.exemplars.found import UnitExemplars
from services.exemplars.request import ScanRequest
from services.exemplars.scans import ScanView
from services.exemplars.submission import submit
from services.queue import workers
from services.queue.chores import CHORES
from tests.worker_processes import NETWORK, Scene
from worker.exemplars.scanner import Scanner
from worker.leasing.held_leases import HeldLeases
from worker.leasing.work_kinds import Tend, WorkKind
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag

LAYERS = "blocks.0.0,conv_head,classifier"
SOURCES = ("folder", "more/pictures.tar", "packed.npz")
COUNT = 60
"""Pictures that can be decoded, of all sources together."""


def picture(seed: int, size: int = 40) -> bytes:
    """A PNG of smooth colours."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 256, (4, 4, 3), np.uint8))
    buffer = io.BytesIO()
    small.resize((size, size + 8), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def write_sources(root: Path) -> None:
    """A folder, a tar and a packed set of 20 pictures each, and one in the folder that is none."""
    (root / "folder" / "deeper").mkdir(parents=True)
    (root / "more").mkdir()
    for n in range(20):
        (root / "folder" / "deeper" / f"{n:02}.png").write_bytes(picture(n))
    (root / "folder" / "broken.png").write_bytes(b"no picture")
    with tarfile.open(root / "more" / "pictures.tar", "w") as tar:
        for n in range(20, 40):
            content = picture(n)
            member = tarfile.TarInfo(f"{n}.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed = [picture(n) for n in range(40, 60)]
    offsets = np.cumsum([0, *map(len, packed)])
    np.savez(root / "packed.npz", blob=np.frombuffer(b"".join(packed), np.uint8), offsets=offsets)


@dataclass
class ScanScene:
    """A scene whose workers see pictures."""

    scene: Scene
    root: Path

    @classmethod
    def build(cls, scene: Scene) -> "ScanScene":
        """With all sources below the data root."""
        root = scene.folder / "data"
        root.mkdir()
        write_sources(root)
        scene.settings = scene.settings.model_copy(update={"data_root": root, "lease_seconds": 60.0})
        scene.environment["IMAGO_DATA_ROOT"] = str(root)
        return cls(scene, root)

    def submit(self, **asked: Any) -> str:
        """All sources with a few layers, unless something else is asked for; returns the scan's id."""
        request = ScanRequest.model_validate({"sources": list(SOURCES), "layers": LAYERS, **asked})
        with self.scene.database.session() as session:
            return submit(session, NETWORK, request, data_root=self.root).id

    def scanner(self, name: str = "tester", before: tuple[WorkKind, ...] = (), **changes: Any) -> Scanner:
        """A worker's part that scans, with settings of its own."""
        scene, stop = self.scene, StopFlag()
        settings = scene.settings.model_copy(update=changes)
        with scene.database.session() as session:
            workers.register(session, name, host="here", device="cpu", has_data_root=True)
        runtime = Runtime(scene.database, scene.store, settings, choose_device("cpu"))
        return Scanner(
            HeldLeases(scene.database, settings, name, stop),
            store=scene.store,
            runtime=runtime,
            settings=settings,
            stop=stop,
            before=before,
        )

    def get(self, id: str) -> ScanView:
        """The scan as it stands."""
        with self.scene.database.session() as session:
            return scans.get(session, id)

    def of_unit(self, layer: str, unit: int, scan: str | None = None) -> UnitExemplars:
        """What is known of a unit."""
        with self.scene.database.session() as session:
            return found.of_unit(session, NETWORK, layer, unit, scan=scan)

    def everything(self, id: str) -> list[tuple[Any, ...]]:
        """All that a scan has found: statistics, exemplars, and the bytes of their crops."""
        store: ObjectStore = self.scene.store
        with self.scene.database.session() as session:
            statistics = session.execute(
                text("""
                    SELECT layer, unit, counted, non_zero, quantiles, usual_quantiles FROM unit_statistics
                    JOIN scans ON scans.no = scan_no WHERE id = :id ORDER BY layer, unit
                """),
                {"id": id},
            ).all()
            exemplars = session.execute(
                text("""
                    SELECT layer, unit, rank, activation, picture, place_y, place_x, box,
                        object, start, length
                    FROM exemplars e JOIN scans ON scans.no = scan_no
                    JOIN crop_packs p ON p.scan_no = e.scan_no AND p.number = e.pack
                    WHERE id = :id ORDER BY layer, unit, rank
                """),
                {"id": id},
            ).all()
        packs = {key: store.get(key) for key in {row.object for row in exemplars}}
        crops = [(*row[:8], packs[row.object][row.start : row.start + row.length]) for row in exemplars]
        return [*map(tuple, statistics), *crops]

    def hasten(self, refused_seconds: float = 0) -> None:
        """Have it due now, as if nobody had seen its pictures for so much longer."""
        with self.scene.database.session() as session:
            session.execute(text("UPDATE work SET not_before = now() WHERE kind = 'scan'"))
            session.execute(
                text("""
                    UPDATE work SET payload = jsonb_set(payload, '{refused_since}', to_jsonb(
                        CAST(payload ->> 'refused_since' AS timestamptz) - make_interval(secs => :s)))
                    WHERE payload ->> 'refused_since' IS NOT NULL
                """),
                {"s": refused_seconds},
            )

    def waiting(self) -> int:
        """Scans that wait for a worker, or that one has in hand."""
        return self.scene.count("SELECT count(*) FROM work WHERE kind = 'scan'")


KIND = CHORES["scan"]


class Interrupting(WorkKind):
    """Ends the scanner's lease, as the reconciler would, so many slices from now."""

    def __init__(self, scanning: ScanScene, after: int) -> None:
        self._scanning, self._left = scanning, after

    def look(self, tend: Tend = lambda: None) -> bool:
        self._left -= 1
        if self._left == 0:
            with self._scanning.scene.database.session() as session:
                lease = session.scalars(text("SELECT lease_id FROM work WHERE kind = 'scan'")).one()
                KIND.give_back(session, lease)
        return False


class Counting(WorkKind):
    """Work that waits again and again."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self, tend: Tend = lambda: None) -> bool:
        self.looks += 1
        return self.looks % 2 == 1
