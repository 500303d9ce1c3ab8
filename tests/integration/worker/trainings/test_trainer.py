"""Which trainings a worker takes, with the real leases, and what it does where it cannot go on with one."""

import errno
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.generators import list_generators
from services.queue import workers
from services.queue.refusals import PATIENCE_SECONDS
from services.trainings import trainings
from services.trainings.request import TrainingRequest
from tests.integration.trainings.one_training import get, pass_time
from tests.small_training import SMALL, draw_pictures, register_encoder
from worker.leasing.held_leases import HeldLeases
from worker.process.stopping import StopFlag
from worker.trainings import slice as slice_module
from worker.trainings.process import TrainingProcess
from worker.trainings.trainer import Trainer


@pytest.fixture
def training(database: Database) -> str:
    register_encoder(database)
    request = TrainingRequest.model_validate({"sources": ["birds"], "pictures": 100})
    with database.session() as session:
        return trainings.submit(session, "birds-64", request).id


def raising(error: Exception) -> Callable[..., object]:
    """What only raises it."""

    def raise_(*_: object) -> object:
        raise error

    return raise_


def look(
    database: Database, store: ObjectStore, settings: Settings, worker: str, data_root: Path | None
) -> bool:
    """One look for a training, by a worker that sees this data root; whether it took one."""
    own = settings.model_copy(update={"data_root": data_root})
    with database.session() as session:
        has_data_root = data_root is not None and data_root.is_dir()
        workers.register(session, worker, host="here", device="cpu", has_data_root=has_data_root)
    stop = StopFlag()
    held = HeldLeases(database, own, worker, stop)
    return Trainer(held, store=store, settings=own, stop=stop).look()


def test_a_worker_that_sees_no_pictures_leaves_trainings_alone(
    database: Database, store: ObjectStore, settings: Settings, training: str, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"cache_folder": tmp_path / "cache"})
    for data_root in (None, tmp_path / "not-mounted"):
        assert not look(database, store, settings, "blind", data_root)
    view = get(database, training)
    assert (view.state, view.started_at) == ("queued", None)


def test_a_worker_without_the_pictures_leaves_a_training_to_the_next_and_the_last_says_why(
    database: Database, store: ObjectStore, settings: Settings, training: str, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"cache_folder": tmp_path / "cache"})
    roots = {name: tmp_path / name for name in ("first", "second")}
    for root in roots.values():
        root.mkdir()
    with database.session() as session:
        workers.register(session, "second", host="there", device="cpu", has_data_root=True)
    assert look(database, store, settings, "first", roots["first"])
    assert get(database, training).state == "queued"
    assert not look(database, store, settings, "first", roots["first"])
    assert look(database, store, settings, "second", roots["second"])
    assert get(database, training).state == "queued"
    pass_time(database, PATIENCE_SECONDS)
    assert look(database, store, settings, "second", roots["second"])
    view = get(database, training)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error["code"] == "source_refused"
    assert view.error["message"].startswith("'birds' does not exist below the data root of this worker")
    assert view.crashes == 0


@pytest.mark.parametrize("where", ["its folder", "its job"])
def test_a_worker_that_cannot_write_its_own_files_puts_a_training_off_and_charges_nothing(
    database: Database,
    store: ObjectStore,
    settings: Settings,
    training: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    draw_pictures(tmp_path / "data" / "birds")
    settings = settings.model_copy(update={"cache_folder": tmp_path / "cache"})
    if where == "its folder":
        (tmp_path / "cache").write_text("in the way")
    else:
        full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
        monkeypatch.setattr(slice_module, "write_job", raising(full))
    assert look(database, store, settings, "full", tmp_path / "data")
    view = get(database, training)
    assert (view.state, view.crashes) == ("queued", 0)
    assert view.error is not None
    assert "cannot read or write files of its own" in view.error["message"]
    assert str(tmp_path) not in view.error["message"]
    assert not look(database, store, settings, "full", tmp_path / "data"), "it rests"


def test_pictures_that_go_while_they_are_read_put_a_training_off(
    database: Database,
    store: ObjectStore,
    settings: Settings,
    training: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Dropped(TrainingProcess):
        def __init__(self, job: Path) -> None:
            shutil.rmtree(birds)
            birds.mkdir()
            super().__init__(job)

    birds = tmp_path / "data" / "birds"
    draw_pictures(birds)
    monkeypatch.setattr(slice_module, "TrainingProcess", Dropped)
    settings = settings.model_copy(
        update={"cache_folder": tmp_path / "cache", "device": "cpu", "threads": 1, "lease_seconds": 300.0}
    )
    assert look(database, store, settings, "first", tmp_path / "data")
    view = get(database, training)
    assert (view.state, view.crashes, (view.error or {})["code"]) == ("queued", 0, "source_refused")


def test_a_training_whose_time_passes_while_its_pictures_are_prepared_registers_nothing(
    database: Database,
    store: ObjectStore,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(TrainingProcess):
        def __init__(self, job: Path) -> None:
            while datetime.now(UTC) < until:
                time.sleep(0.1)
            super().__init__(job)

    register_encoder(database)
    store.ensure_bucket()
    draw_pictures(tmp_path / "data" / "discs")
    settings = settings.model_copy(
        update={"cache_folder": tmp_path / "cache", "device": "cpu", "threads": 1, "lease_seconds": 300.0}
    )
    until = datetime.now(UTC) + timedelta(seconds=4)
    request = TrainingRequest.model_validate({**SMALL, "until": until})
    with database.session() as session:
        id = trainings.submit(session, "late", request).id
    monkeypatch.setattr(slice_module, "TrainingProcess", Slow)
    assert look(database, store, settings, "slow", tmp_path / "data")
    view = get(database, id)
    assert view.state == "failed", view.error
    assert view.error is not None
    assert "was over before it could begin" in view.error["message"]
    with database.session() as session:
        assert not list_generators(session).data
