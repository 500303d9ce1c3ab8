"""A stand-in for a worker that scans: what it finds of units, without any picture."""

from collections.abc import Sequence

from imago_engine.exemplars.quantiles import LEVELS
from services.base.database import Database
from services.base.object_keys import crops_key
from services.base.storage import ObjectStore
from services.exemplars import working
from services.exemplars.working import ScanTask
from services.queue import chores
from services.queue.chores import Task, WorkClaim

CROPS = (b"first crop", b"the second crop")


def claim(database: Database) -> ScanTask:
    with database.session() as session:
        claimed = chores.claim(session, "scan", "tester", lease_seconds=60)
        assert claimed is not None
        task = working.begin(session, claimed)
    assert task is not None
    return task


def waits_for(database: Database, task: ScanTask, message: str) -> None:
    """What a worker does with a scan that it cannot go on with now; it is due again at once."""
    taken = WorkClaim("scan", task.lease_id, (Task(task.id, {}, False),))
    with database.session() as session:
        working.put_off(session, taken, 0.0, "internal", message)


def find_exemplars(
    database: Database,
    store: ObjectStore,
    layer: str,
    units: Sequence[int],
    crops: tuple[bytes, bytes] = CROPS,
) -> None:
    """Do what a worker does with a scan that waits: two pictures of each unit, of activations 20 and 19."""
    task = claim(database)
    key = crops_key(b"".join(crops))
    store.put_under(key, b"".join(crops), "application/octet-stream")
    quantiles = [20 * level for level in LEVELS]
    with database.session() as session:
        statistics = {"layer": layer, "counted": 50, "non_zero": 0.5, "usual_quantiles": None}
        rows = [{**statistics, "unit": unit, "quantiles": quantiles} for unit in units]
        assert working.add_statistics(session, task, rows)
    exemplars = [
        {
            "layer": layer,
            "unit": unit,
            "rank": rank,
            "activation": 20.0 - rank,
            "picture": f"birds/{rank}.jpg",
            "place_y": None,
            "place_x": None,
            "box": None if rank else [0, 1, 16, 17],
            "pack": 0,
            "start": rank * len(crops[0]),
            "length": len(crops[rank]),
        }
        for unit in units
        for rank in (0, 1)
    ]
    pack = {"number": 0, "object": key, "bytes": len(b"".join(crops))}
    with database.session() as session:
        progress = {"phase": "cropping", "pictures": 50, "crops": len(exemplars)}
        assert working.add_exemplars(session, task, [pack], exemplars, progress)
        assert working.finish(session, task)
