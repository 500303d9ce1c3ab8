"""Comparing everything that the rows point to with its hash now, without waiting for the workers' rounds."""

import time

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.pictures import repairs
from services.upkeep import collection, scrubbing
from services.upkeep.collection import min_age_seconds
from services.upkeep.scrubbing import Cursor

_ROWS = 200
_SHOW_SECONDS = 2.0


def scrub_everything(settings: Settings, *, collect: bool) -> int:
    """Look at every object and note what is lost, for the workers to repair; with `collect` also remove what
    nothing points to. Prints how far it is; returns 1 if anything is lost. Raises `Unavailable`.
    """
    with Database.opened(settings.database_url, pool_size=2) as database:
        return _scrub(database, settings, collect=collect)


def _scrub(database: Database, settings: Settings, *, collect: bool) -> int:
    store = ObjectStore(settings)
    database.ping()
    store.ping()
    cursor: Cursor | None = Cursor()
    rows = objects = lost = 0
    shown = time.monotonic()
    while cursor is not None:
        done = scrubbing.scrub(database, store, cursor, rows=_ROWS)
        rows, objects, lost = rows + done.rows, objects + done.objects, lost + done.lost
        if time.monotonic() - shown > _SHOW_SECONDS or done.cursor is None:
            where = f"{cursor.stage} after {done.cursor.after[:16] or 'the first'}" if done.cursor else "done"
            print(f"{rows} rows, {objects} objects, {lost} lost: {where}", flush=True)
            shown = time.monotonic()
        cursor = done.cursor
    if collect:
        _collect(database, store, settings)
    with database.session() as session:
        depth = repairs.depth(session)
    print(f"To be made again by the workers: {depth.waiting}; given up: {depth.given_up}.")
    return 1 if lost else 0


def _collect(database: Database, store: ObjectStore, settings: Settings) -> None:
    after: str | None = ""
    objects = removed = freed = 0
    while after is not None:
        done = collection.collect(database, store, after, min_age=min_age_seconds(settings.lease_seconds))
        objects, removed, freed = objects + done.objects, removed + done.removed, freed + done.bytes
        after = done.after
        print(
            f"{objects} objects in the store, {removed} of them unused and removed, {freed} bytes", flush=True
        )
