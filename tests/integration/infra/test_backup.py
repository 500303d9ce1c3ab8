"""A backup made while the service works holds all of it, and comes back whole or not at all."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from imago_engine.artifacts import ArtifactKind
from infra.archive import Archive, ArchiveError
from infra.backup import back_up
from infra.local.servers import Servers
from infra.restore import restore
from services.access import browser_sessions
from services.access import keys as access
from services.base.database import Database
from services.base.object_keys import export_key, map_key, scan_key, sheet_key
from services.base.settings import Settings
from services.base.storage import ObjectStore, generator_key, training_key
from services.catalog import looks
from services.catalog.looks import Pair
from services.comparison import comparisons
from services.exemplars import working as working_on
from services.exemplars.request import ScanRequest
from services.exemplars.submission import submit as submit_scan
from services.maps import making as mapping
from services.maps.making import Drawn
from services.maps.subjects import Mapped
from services.pictures import losses
from services.pictures.losses import Subject
from services.queue import batches, chores, workers
from services.queue.batches import Failure, Finished
from services.schema import Base
from services.sheets import making
from services.sheets.layout import Layout, Place
from services.sheets.making import Tile
from services.sheets.plans import SheetPlan
from services.sheets.subjects import Sheeted
from services.trainings import leases as training_leases
from services.trainings import trainings
from services.trainings.leases import Sample, TrainingClaim
from services.trainings.request import TrainingRequest
from tests.found_exemplars import claim as claim_scan
from tests.found_exemplars import find_exemplars
from tests.integration import staging
from tests.integration.atlases import building
from tests.integration.staging import claim, request, submit
from tests.oracle import examine, inconsistencies
from tests.own_settings import own_settings
from tests.small_training import register_encoder

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def target(servers: Servers, migrated_template: str) -> Iterator[Settings]:
    """An empty database, and no bucket."""
    with own_settings(servers, migrated_template) as settings:
        yield settings


@pytest.fixture
def bare(servers: Servers) -> Iterator[Settings]:
    """A database without any table, as `CREATE DATABASE` makes it."""
    with own_settings(servers, "template1") as settings:
        yield settings


@pytest.fixture
def working(database: Database, store: ObjectStore) -> TrainingClaim:
    """A service in the midst of its work: every table has rows, and leases of all kinds are open."""
    staging.stage(database)
    register_encoder(database)
    weights = hashlib.sha256(b"generator").hexdigest()
    put(store, generator_key(weights), b"generator")
    with database.session() as session:
        session.execute(text("UPDATE generators SET weights_sha256 = :hash"), {"hash": weights})
        key, secret = access.create_key(session, "someone", access.SCOPES)
        browser_sessions.begin(session, secret)
    pair = Pair(staging.NETWORK, "a" * 64, staging.GENERATOR, weights)
    looks.keep(database, store, pair, pair.name({"layers": ["output"]}), b"directions")
    submit(database, request("0-5"), owner=key.id)
    claimed = claim(database, 4)
    ends = [staging.real_picture(store, work.digest) for work in claimed.items[:2]]
    with database.session() as session:
        batches.conclude(
            session,
            claimed.lease_id,
            finished=ends,
            failures=[Failure(claimed.items[2].digest, "impossible", "It cannot be.", False)],
        )
    with database.session() as session:
        workers.register(session, "w", host="here", device="cpu")
        session.execute(text("INSERT INTO collected (key) VALUES ('objects/of/yesterday')"))
        subject = Subject("visualization", ends[0].digest)
        assert losses.note(session, subject, ends[0].objects[0], "missing", "read") is not None
    with database.session() as session:
        wanted = TrainingRequest.model_validate({"sources": ["birds"], "pictures": 100})
        trainings.submit(session, "birds", wanted)
    with database.session() as session:
        training = training_leases.claim(session, "w", lease_seconds=600)
        assert training is not None
    grid = store.put(ArtifactKind.IMAGE, b"grid", "image/png")
    checkpoint(database, store, training, b"first")
    with database.session() as session:
        sample = Sample(10, {"psnr": 20.0}, grid, datetime.now(UTC))
        assert training_leases.report(session, training.id, training.lease_id, {}, [sample])
    scan(database, store)
    atlas = building.make(database, layers="classifier", units="0")
    building.carry_out(database, atlas)
    sheet(database, store, atlas)
    map_of(database, store, atlas)
    building.begin_export(database, atlas, put(store, export_key(b"a line", "jsonl"), b"a line"))
    comparison(database, atlas)
    return training


def sheet(database: Database, store: ObjectStore, atlas: str) -> None:
    """A sheet of an atlas that is half done."""
    tile, plan = (put(store, sheet_key(data, "jpg"), data) for data in (b"tile", b"plan"))
    with database.session() as session:
        asked = making.wanted(session, Sheeted(atlas, 1, 0))
        assert asked is not None
        assert not making.begin(session, asked, SheetPlan(Layout.of_layer(1), bytes(32)), plan)
        name = session.execute(text("SELECT name FROM sheets")).scalar_one()
        making.add_tiles(session, name, [Tile(Place(0, 0, 0), tile, 4)])


def map_of(database: Database, store: ObjectStore, atlas: str) -> None:
    points = put(store, map_key(b"points"), b"points")
    with database.session() as session:
        asked = mapping.wanted(session, Mapped(atlas, 1))
        assert asked is not None
        mapping.finish(session, asked, Drawn("a" * 64, 1, 1, ["classifier"], [], points, 6), unseen=0)


def comparison(database: Database, atlas: str) -> None:
    """A comparison with an atlas of the same unit, in the midst of its layer."""
    same = building.make(database, layers="classifier", units="0")
    building.carry_out(database, same)
    with database.session() as session:
        made = comparisons.find(session, atlas, same)
        session.execute(
            text("""
                INSERT INTO compared_units (comparison, layer, unit, distance, a_digest, b_digest)
                SELECT :no, 0, 0, 0, decode(digest, 'hex'), decode(digest, 'hex') FROM visualizations LIMIT 1
            """),
            {"no": made.no},
        )


def scan(database: Database, store: ObjectStore) -> None:
    """A scan that has found exemplars, and one that is half done."""
    for _ in range(2):
        with database.session() as session:
            submit_scan(session, staging.NETWORK, ScanRequest(sources=["birds"], layers="classifier"))
    find_exemplars(database, store, "classifier", range(3))
    task = claim_scan(database)
    key = put(store, scan_key(task.id, task.lease_id, b"state of a scan"), b"state of a scan")
    with database.session() as session:
        assert working_on.save(session, task, {"saved": {"read": 1}}, key) == (True, None)


def put(store: ObjectStore, key: str, data: bytes) -> str:
    store._client.put_object(Bucket=store._bucket, Key=key, Body=data)
    return key


def checkpoint(database: Database, store: ObjectStore, training: TrainingClaim, state: bytes) -> None:
    """As its worker does: put, point to it, delete what it replaces."""
    keys = [
        put(
            store,
            training_key(training.id, training.lease_id, hashlib.sha256(data).hexdigest(), suffix),
            data,
        )
        for data, suffix in ((state, "safetensors"), (b"log of " + state, "jsonl"))
    ]
    with database.session() as session:
        replaced = training_leases.save(session, training.id, training.lease_id, keys[0], keys[1], {})
    assert replaced is not None
    for key in replaced:
        store.delete(key)


def counts(database: Database) -> dict[str, int]:
    with database.session() as session:
        return {
            table.name: session.execute(text(f"SELECT count(*) FROM {table.name}")).scalar_one()
            for table in Base.metadata.sorted_tables
        }


def jobs_of(database: Database) -> list[Any]:
    counted = "id, state, total, cached, done, failed, unreachable, canceled, errors"
    with database.session() as session:
        return list(session.execute(text(f"SELECT {counted} FROM jobs ORDER BY id")).all())


def finish_the_rest(database: Database, store: ObjectStore) -> list[Finished]:
    made: list[Finished] = []
    while (claimed := staging.claim_if_any(database)) is not None:
        results = [staging.real_picture(store, work.digest) for work in claimed.items]
        with database.session() as session:
            assert batches.conclude(session, claimed.lease_id, finished=results)
        made += results
    return made


_INDEXED = (
    """
    INSERT INTO embeddings (digest, eye, network_id, layer, unit, vector)
    SELECT digest, 'lite0-1', network_id, layer, unit,
        CAST(CAST(array_fill(0.5, ARRAY[128]) AS real[]) AS vector)::halfvec
    FROM visualizations WHERE state = 'done'
    """,
    r"""
    INSERT INTO excitations (id, network_id, layer, photograph, expires_at)
    SELECT 'exc_1', network_id, name, '\x89', now() FROM layers LIMIT 1
    """,
    "INSERT INTO atlas_imports (atlas_no, manifest) SELECT no, '{}' FROM atlases LIMIT 1",
    r"""
    INSERT INTO grid_orders (atlas_no, layer_no, number, facet, ordered_by, basis, progress, units)
    SELECT no, 0, 1, 0, 'activation', 'basis', 'progress', '\x00000000' FROM atlases LIMIT 1
    """,
)


def test_a_service_comes_back_as_it_was_and_works_on(
    working: TrainingClaim,
    database: Database,
    store: ObjectStore,
    environment: dict[str, str],
    bare: Settings,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "backup"
    with database.session() as session:
        for statement in _INDEXED:
            session.execute(text(statement))
    for command, settings in (("backup", None), ("restore", bare)):
        elsewhere = (
            {}
            if settings is None
            else {"IMAGO_DATABASE_URL": settings.database_url, "IMAGO_S3_BUCKET": settings.s3_bucket}
        )
        done = subprocess.run(
            [sys.executable, "-m", "infra.admin", command, str(folder)],
            cwd=ROOT,
            env={**environment, **elsewhere},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
    restored, there = Database(bare.database_url), ObjectStore(bare)
    assert counts(restored) == counts(database)
    # Of every table but what was learned from computing, which nothing here does.
    assert {table for table, rows in counts(restored).items() if rows == 0} <= {"learned_costs"}
    assert jobs_of(restored) == jobs_of(database)
    assert sorted(there.keys("")) == sorted(store.keys(""))
    for key in store.keys(""):
        assert there.get(key) == store.get(key)
    assert inconsistencies(restored) == []
    with restored.session() as session:
        states = session.execute(text("SELECT state, attempt, crash_count FROM visualizations")).all()
        assert "leased" not in {row.state for row in states}
        assert {(row.attempt, row.crash_count) for row in states if row.state == "queued"} == {(0, 0)}
        again = training_leases.claim(session, "another", lease_seconds=60)
    assert again is not None
    assert again.lease_id > working.lease_id
    assert again.checkpoint_object is not None
    assert there.get(again.checkpoint_object) == b"first"
    with restored.session() as session:
        waiting = chores.claim(session, "scan", "another", lease_seconds=60)
        assert waiting is not None
        scanning = working_on.begin(session, waiting)
        chores.release(session, waiting.lease_id)
    assert scanning is not None
    assert scanning.checkpoint_object is not None
    assert there.get(scanning.checkpoint_object) == b"state of a scan"
    assert len(finish_the_rest(restored, there)) == 3
    submit(restored, request("0-7"))
    assert len(finish_the_rest(restored, there)) == 3  # two new ones, and the one that failed
    verdict = examine(restored, there)
    assert verdict.faults == []
    assert verdict.items == {"done": 8}
    restored.dispose()


def test_a_backup_that_was_cut_off_is_none_and_goes_on(
    working: TrainingClaim,
    settings: Settings,
    target: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetched: list[str] = []
    fetching = ObjectStore.fetch

    def cut_off(store: ObjectStore, key: str, path: Path) -> None:
        fetched.append(key)
        if len(fetched) == 4:
            raise KeyboardInterrupt
        fetching(store, key, path)

    monkeypatch.setattr(ObjectStore, "fetch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        back_up(settings, tmp_path)
    with pytest.raises(ArchiveError, match="no whole backup"):
        restore(target, tmp_path)
    assert back_up(settings, tmp_path) == 0
    assert len(fetched) < 2 * len(set(fetched))  # what was copied stays copied
    with pytest.raises(ArchiveError, match="whole backup already"):
        back_up(settings, tmp_path)
    assert restore(target, tmp_path) == 0


def test_a_checkpoint_that_is_replaced_while_it_is_copied_is_followed(
    working: TrainingClaim,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetching = ObjectStore.fetch
    replaced: list[str] = []

    def replace_first(self: ObjectStore, key: str, path: Path) -> None:
        if key.startswith("trainings/") and not replaced:
            replaced.append(key)
            checkpoint(database, store, working, b"second")
        fetching(self, key, path)

    monkeypatch.setattr(ObjectStore, "fetch", replace_first)
    assert back_up(settings, tmp_path) == 0
    archive = Archive(tmp_path)
    manifest = archive.read_manifest()
    assert manifest.lost == []
    pointers = set(archive.keys(manifest.pointers))
    assert pointers
    assert replaced[0] not in pointers
    assert all(archive.object_path(key).is_file() for key in pointers)


def test_only_what_is_whole_is_restored_and_only_into_what_is_empty(
    working: TrainingClaim,
    database: Database,
    store: ObjectStore,
    settings: Settings,
    target: Settings,
    tmp_path: Path,
) -> None:
    assert back_up(settings, tmp_path) == 0
    with pytest.raises(ArchiveError, match="database is not empty"):
        restore(settings, tmp_path)
    there = ObjectStore(target)
    there.ensure_bucket()
    foreign = there.put(ArtifactKind.IMAGE, b"of someone else", "image/png")
    with pytest.raises(ArchiveError, match="bucket is not empty"):
        restore(target, tmp_path)
    there.delete(foreign)
    archive = Archive(tmp_path)
    manifest = archive.read_manifest()
    for path in (
        archive.object_path(next(archive.keys(manifest.pointers))),
        tmp_path / "tables" / "jobs.copy.gz",
        tmp_path / "pointers.gz",
    ):
        whole = path.read_bytes()
        for damaged in (whole[:-1], bytes([*whole[:-1], whole[-1] ^ 1]), b"", None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(ArchiveError, match=r"damaged|cannot be read"):
                restore(target, tmp_path)
            empty = Database(target.database_url)
            assert not any(counts(empty).values())
            empty.dispose()
            path.write_bytes(whole)
    assert restore(target, tmp_path) == 0  # what the attempts before have put is of this backup


def test_what_was_lost_before_is_said_and_stays_noted(
    working: TrainingClaim, database: Database, store: ObjectStore, settings: Settings, tmp_path: Path
) -> None:
    with database.session() as session:
        (key,) = session.scalars(
            text("SELECT object FROM artifacts WHERE kind = 'image' ORDER BY digest LIMIT 1")
        )
    store.delete(key)
    assert back_up(settings, tmp_path) == 1
    assert Archive(tmp_path).read_manifest().lost == [key]
