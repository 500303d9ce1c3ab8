"""Copying database and store into a folder while the service runs.

First the rows of one moment, then every object that they point to. An object is in the store before a row
points to it, and nothing is collected meanwhile; what is gone all the same was replaced since (the checkpoint
of a training that runs), and then the rows are read once more.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.orm import Session

from infra.archive import FORMAT, Archive, ArchiveError, Manifest, PartWriter, Table, chunks
from services.base.database import Database, patient_transaction
from services.base.errors import NotFound
from services.base.settings import Settings
from services.base.storage import Corrupt, ObjectStore
from services.schema import Base
from services.upkeep import collection

ROUNDS = 10
"""Times that the rows are read before it is given up that they hold still."""
_COPIES_AT_ONCE = 8
_SHOW_SECONDS = 2.0
# Checkpoints first: they are the only objects that are removed while the service runs.
_POINTERS = """
    SELECT key FROM (
        SELECT unnest(ARRAY[checkpoint_object, log_object, card_object]) AS key FROM trainings
        UNION ALL SELECT checkpoint_object FROM scans
        UNION ALL SELECT 'generators/' || weights_sha256 || '.safetensors' FROM generators WHERE is_here
        UNION ALL SELECT image_object FROM training_samples
        UNION ALL SELECT object FROM looks WHERE object IS NOT NULL
        UNION ALL SELECT object FROM crop_packs
        UNION ALL SELECT unnest(ARRAY[plan_object, picture_object]) FROM sheets
        UNION ALL SELECT object FROM sheet_tiles
        UNION ALL SELECT points_object FROM maps
        UNION ALL SELECT sheet_object FROM compared_layers
        UNION ALL SELECT unnest(ARRAY[manifest_object, sums_object]) FROM atlas_exports
        UNION ALL SELECT unnest(ARRAY[units_object, table_object, sums_object]) FROM atlas_export_parts
        UNION ALL SELECT object FROM artifacts
    ) AS pointers WHERE key IS NOT NULL
"""


def back_up(settings: Settings, folder: Path) -> int:
    """Write a backup into `folder`. One that was cut off goes on: what was copied stays copied.

    Returns 1 if the store had lost something that rows point to. Raises `ArchiveError`, `Unavailable`, or
    `OSError` where the folder cannot be written. Whatever is raised, the backup is none then.
    """
    archive = Archive(folder)
    if archive.manifest_path.exists():
        raise ArchiveError(f"{folder} holds a whole backup already. Name another folder, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    store = ObjectStore(settings)
    with Database.opened(settings.database_url, pool_size=2) as database:
        database.ping()
        store.ping()
        with database.patient_session() as holding:
            collection.hold_off(holding)
            manifest = _copy_until_still(settings, archive, database, store)
    archive.write_manifest(manifest)
    print(f"The backup in {folder} is whole: {manifest.pointers.lines - len(manifest.lost)} objects.")
    if manifest.lost:
        print(f"{len(manifest.lost)} were lost before; `python -m infra.admin scrub` has them repaired.")
    return 1 if manifest.lost else 0


def _copy_until_still(
    settings: Settings, archive: Archive, database: Database, store: ObjectStore
) -> Manifest:
    for _ in range(ROUNDS):
        manifest = _dump(settings.database_url, archive)
        missing = _copy_objects(archive, store, archive.keys(manifest.pointers), manifest.pointers.lines)
        with database.session() as session:
            lost = _still_wanted(session, missing)
        if len(lost) == len(missing):
            return manifest.model_copy(update={"lost": lost})
        print(f"{len(missing) - len(lost)} objects were replaced meanwhile: reading the rows once more.")
    raise ArchiveError("Trainings replaced their checkpoints faster than they could be copied; try again.")


def _still_wanted(session: Session, keys: list[str]) -> list[str]:
    wanted: set[str] = set()
    for chunk in chunks(keys):
        wanted |= collection.pointed_to(session, chunk)
    return [key for key in keys if key in wanted]


def _dump(url: str, archive: Archive) -> Manifest:
    """All rows of one moment, and what they point to."""
    tables: list[Table] = []
    of_one_moment = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with patient_transaction(url, **of_one_moment) as transaction:
        connection = transaction.connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        for table in Base.metadata.sorted_tables:
            columns = [column.name for column in table.columns]
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            copying = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table.name), names)
            with PartWriter(archive, f"tables/{table.name}.copy.gz") as part:
                _copy_out(connection, copying, part)
            tables.append(Table(name=table.name, columns=columns, **part.part().model_dump()))
        with PartWriter(archive, "pointers.gz") as pointers:
            _copy_out(connection, sql.SQL("COPY ({}) TO STDOUT").format(sql.SQL(_POINTERS)), pointers)
        # Not of that moment but later: never lower than what the rows have used.
        used = connection.execute(
            "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema()"
            " AND last_value IS NOT NULL"
        ).fetchall()
    return Manifest(
        format=FORMAT,
        revision=revision,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tables=tables,
        sequences=dict(used),
        pointers=pointers.part(),
        lost=[],
    )


def _copy_out(connection: psycopg.Connection, statement: sql.Composed, part: PartWriter) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for data in copy:
            part.write(data)


def _copy_objects(archive: Archive, store: ObjectStore, keys: Iterable[str], total: int) -> list[str]:
    """Fetch what is not there yet, each checked against its hash; returns what the store does not have."""
    missing: list[str] = []
    seen, shown = 0, time.monotonic()
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        for chunk in chunks(keys):
            fetched = pool.map(lambda key: _fetch(archive, store, key), sorted(set(chunk)))
            missing.extend(key for key in fetched if key)
            seen += len(chunk)
            if time.monotonic() - shown > _SHOW_SECONDS or seen == total:
                print(f"{seen} of {total} objects", flush=True)
                shown = time.monotonic()
    return missing


def _fetch(archive: Archive, store: ObjectStore, key: str) -> str | None:
    path = archive.object_path(key)
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        store.fetch(key, path)
    except (NotFound, Corrupt):
        return key
    return None
