"""Filling an empty database and an empty store from a backup: first the objects, then all rows in one step.

Whatever is cut off on the way leaves a database without rows, and can be begun again.
"""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from infra.archive import Archive, ArchiveError, Manifest, chunks
from services.base.database import Database, has_revision, move_to, patient_transaction
from services.base.settings import Settings
from services.base.storage import PROBES, ObjectStore, sha256_of_key
from services.queue import leases
from services.queue.registry import KINDS

_PUTS_AT_ONCE = 8
_CHUNK = 1000
_SHOW_SECONDS = 2.0
_TYPES = {".png": "image/png", ".jsonl": "application/x-ndjson", ".md": "text/markdown"}


def restore(settings: Settings, folder: Path) -> int:
    """Bring a backup back, as of this release: it may have been made by an earlier one.

    Everything is compared with its hash before a row is written. Leases of that time are given back, at no
    charge. Raises `ArchiveError`, which names what is damaged or not empty, or `Unavailable`.
    """
    archive = Archive(folder)
    manifest = archive.read_manifest()
    if not has_revision(manifest.revision):
        raise ArchiveError(
            f"The backup is of the schema {manifest.revision}, which this release does not know."
            " Use the release that made it, or a later one."
        )
    for part in (*manifest.tables, manifest.pointers):
        archive.check(part)
    store = ObjectStore(settings)
    store.ensure_bucket()
    with Database.opened(settings.database_url, pool_size=2) as database:
        _refuse_rows(database)
    _refuse_objects(store, archive)
    _put_objects(store, archive, manifest)
    with patient_transaction(settings.database_url) as connection:
        move_to(connection, "base")
        move_to(connection, manifest.revision)
        _fill(connection, archive, manifest)
        move_to(connection, "head")
        with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
            _let_go(session)
    rows = sum(table.lines for table in manifest.tables)
    print(f"Restored {rows} rows and {manifest.pointers.lines - len(manifest.lost)} objects.")
    return 0


def _refuse_rows(database: Database) -> None:
    with database.session() as session:
        tables = session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
        )
        for table in tables.all():
            if table == "alembic_version":
                continue
            found = session.execute(text(f'SELECT EXISTS (SELECT FROM "{table}")')).scalar_one()
            if found:
                raise ArchiveError(
                    f"The database is not empty: its table {table} has rows. Nothing was changed."
                    " Restore into a database of its own, while no worker and no API runs on it."
                )


def _refuse_objects(store: ObjectStore, archive: Archive) -> None:
    """What an earlier attempt at the same backup has put may be there."""
    after: str | None = None
    while True:
        found, _ = store.list("", after, _CHUNK)
        for entry in found:
            if not entry.key.startswith(PROBES) and not archive.object_path(entry.key).is_file():
                raise ArchiveError(
                    f"The bucket is not empty: it has {entry.key!r}, which is not of this backup."
                    " Nothing was changed. Restore into a bucket of its own."
                )
        if len(found) < _CHUNK:
            return
        after = found[-1].key


def _put_objects(store: ObjectStore, archive: Archive, manifest: Manifest) -> None:
    lost, total = set(manifest.lost), manifest.pointers.lines
    damaged: list[str] = []
    seen, shown = 0, time.monotonic()
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        for chunk in chunks(archive.keys(manifest.pointers)):
            wanted = sorted(set(chunk) - lost)
            damaged.extend(key for key in pool.map(lambda key: _put(store, archive, key), wanted) if key)
            seen += len(chunk)
            if time.monotonic() - shown > _SHOW_SECONDS or seen == total:
                print(f"{seen} of {total} objects", flush=True)
                shown = time.monotonic()
    if damaged:
        raise ArchiveError(_which(damaged))


def _which(damaged: Sequence[str]) -> str:
    named = ", ".join(damaged[:5]) + (f" and {len(damaged) - 5} more" if len(damaged) > 5 else "")
    return (
        "The backup is damaged: these objects are missing or are not what was copied:"
        f" {named}. No row was written."
    )


def _put(store: ObjectStore, archive: Archive, key: str) -> str | None:
    """Put one object; returns its key if the backup does not have it with the right bytes."""
    path = archive.object_path(key)
    try:
        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256_of_key(key)
    except OSError:
        return key
    if not whole:
        return key
    store.put_file(key, path, _TYPES.get(path.suffix, "application/octet-stream"))
    return None


def _fill(connection: sa.Connection, archive: Archive, manifest: Manifest) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for table in manifest.tables:
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        copying = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
        with driver.cursor() as cursor:
            with archive.reading(table) as file, cursor.copy(copying) as copy:
                while data := file.read(_CHUNK * 1024):
                    copy.write(data)
            if cursor.rowcount != table.lines:
                raise ArchiveError(f"{cursor.rowcount} of {table.lines} rows of {table.name} were taken.")
    for name, value in manifest.sequences.items():
        connection.execute(
            text("SELECT setval(CAST(:name AS regclass), :value)"), {"name": name, "value": value}
        )


def _let_go(session: Session) -> None:
    """Give back what workers of that time had in hand: none of them is here."""
    for kind in KINDS:
        for lease_id in leases.open_leases(session, kind.name):
            kind.give_back(session, lease_id)
    session.execute(text("UPDATE workers SET state = 'stopped'"))
