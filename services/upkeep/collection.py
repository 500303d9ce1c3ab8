"""Removing from the store what no row points to, never what a writer is about to point to.

Objects are named by their bytes, so a writer may put one that has lain there unused for days, and a store
cannot remove an object on the condition that nobody has put it again. So what is to be removed is first
written down, under a lock that excludes the commits of all writers; then its age is looked at once more, and
only then it is removed. Writers look at what was written down as they commit: see
`services.upkeep.collected`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.database import Database
from services.base.errors import NotFound, Unavailable
from services.base.object_keys import is_key
from services.base.storage import Listed, ObjectStore
from services.exemplars import forgetting
from services.upkeep import tallies
from services.upkeep.collected import WRITERS_LOCK

log = structlog.get_logger()

PREFIXES = ("generators/", "objects/", "scans/", "trainings/")
"""Where objects are looked for. Whatever else lies in the bucket is not ours."""
MIN_AGE_SECONDS = 86_400.0
"""An object that was put more recently stays, whoever points to it."""
LEASES_OF_AGE = 10
_PAGE = 1000
AT_ONCE = 50
"""Objects that are written down at once, which is less than a slice can remove: nobody may point to what is
written down, until it is removed."""
_BACKUP_LOCK = 0x696D61676F05

_EXCLUDE = text("SELECT pg_advisory_xact_lock(:lock)")
# A writer that hangs in its commit must not make all others wait behind the collector.
_WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '2s'")
_MAY_COLLECT = text("SELECT pg_try_advisory_xact_lock(:lock)")
_HOLD_OFF = text("SELECT pg_advisory_xact_lock_shared(:lock)")
# The planner would rather read a whole table once than look into its index a thousand times, up to sizes at
# which this takes much longer than a writer should wait.
_BY_INDEX = text("SET LOCAL enable_seqscan = off")
_KEYS = "CAST(:keys AS text[])"
_POINTED_TO = f"""
    SELECT object AS key FROM artifacts WHERE object = ANY({_KEYS})
    UNION SELECT object FROM looks WHERE object = ANY({_KEYS})
    UNION SELECT object FROM crop_packs WHERE object = ANY({_KEYS})
    UNION SELECT object FROM sheet_tiles WHERE object = ANY({_KEYS})
    UNION SELECT picture_object FROM sheets WHERE picture_object = ANY({_KEYS})
    UNION SELECT plan_object FROM sheets WHERE plan_object = ANY({_KEYS})
    UNION SELECT points_object FROM maps WHERE points_object = ANY({_KEYS})
    UNION SELECT sheet_object FROM compared_layers WHERE sheet_object = ANY({_KEYS})
    UNION SELECT manifest_object FROM atlas_exports WHERE manifest_object = ANY({_KEYS})
    UNION SELECT sums_object FROM atlas_exports WHERE sums_object = ANY({_KEYS})
    UNION SELECT units_object FROM atlas_export_parts WHERE units_object = ANY({_KEYS})
    UNION SELECT table_object FROM atlas_export_parts WHERE table_object = ANY({_KEYS})
    UNION SELECT sums_object FROM atlas_export_parts WHERE sums_object = ANY({_KEYS})
    UNION SELECT image_object FROM training_samples WHERE image_object = ANY({_KEYS})
    UNION SELECT 'generators/' || weights_sha256 || '.safetensors' FROM generators
    WHERE 'generators/' || weights_sha256 || '.safetensors' = ANY({_KEYS})
    UNION SELECT k.key FROM unnest({_KEYS}) AS k (key)
    JOIN trainings ON trainings.id = split_part(k.key, '/', 2)
    WHERE k.key IN (checkpoint_object, log_object, card_object)
    UNION SELECT k.key FROM unnest({_KEYS}) AS k (key)
    JOIN scans ON scans.id = split_part(k.key, '/', 2) WHERE k.key = scans.checkpoint_object
"""
# Of a training that runs, also what its lease may be about to point to.
_USED_BY_ANY = f"""
    {_POINTED_TO}
    UNION SELECT k.key FROM unnest({_KEYS}) AS k (key)
    JOIN trainings ON trainings.id = split_part(k.key, '/', 2)
    WHERE CASE WHEN k.key LIKE 'trainings/%' AND lease_id IS NOT NULL
        THEN CAST(split_part(k.key, '/', 3) AS bigint) >= lease_id ELSE false END
"""
_USED = text(_USED_BY_ANY)
_POINTED = text(_POINTED_TO)
_WRITE_DOWN = text(f"""
    INSERT INTO collected (key) SELECT unnest({_KEYS})
    ON CONFLICT (key) DO UPDATE SET removed_at = NULL
""")
_UNFINISHED = text("SELECT key FROM collected WHERE removed_at IS NULL ORDER BY key LIMIT :limit")
_REMOVED = text("""
    UPDATE collected SET removed_at = clock_timestamp() WHERE key = ANY(CAST(:keys AS text[]))
""")
_SPARED = text("DELETE FROM collected WHERE key = ANY(CAST(:keys AS text[]))")
_FORGET = text("""
    DELETE FROM collected WHERE key IN (
        SELECT key FROM collected WHERE removed_at < clock_timestamp() - make_interval(secs => :seconds)
        ORDER BY removed_at LIMIT 1000)
""")
_FORGET_AFTER_SECONDS = 7 * 86_400.0
"""Longer than any batch takes from its claim to its commit."""


@dataclass(frozen=True)
class Collected:
    """What one slice came to: objects seen, removed, and their bytes. `after` is the last key that was looked
    at, "" before the first, None at the end of a round.
    """

    after: str | None
    objects: int
    removed: int
    bytes: int


def min_age_seconds(lease_seconds: float) -> float:
    """How old an object is at least when it is removed."""
    return max(MIN_AGE_SECONDS, LEASES_OF_AGE * lease_seconds)


def write_down(session: Session, keys: Sequence[str]) -> Sequence[str]:
    """Write down those of the keys that are unused, and take back what was written down of the others.

    Returns the former. The caller excludes the writers.
    """
    session.execute(_BY_INDEX)
    used = set(session.scalars(_USED, {"keys": list(keys)}))
    unused = sorted(set(keys) - used)
    session.execute(_SPARED, {"keys": sorted(used)})
    session.execute(_WRITE_DOWN, {"keys": unused})
    return unused


def pointed_to(session: Session, keys: Sequence[str]) -> set[str]:
    """Those of the keys that a row points to now."""
    session.execute(_BY_INDEX)
    return set(session.scalars(_POINTED, {"keys": list(keys)}))


def hold_off(session: Session) -> None:
    """Keep everything in the store until the transaction ends: for whoever copies it."""
    session.execute(_HOLD_OFF, {"lock": _BACKUP_LOCK})


def collect(
    database: Database,
    store: ObjectStore,
    after: str,
    *,
    min_age: float,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Collected:
    """Look at the next thousand objects after the key `after` and remove those that are unused and older than
    `min_age` seconds. `may_go_on` is asked before each removal: false once the claim may have ended. A round
    begins with rows of scans that are gone, however many slices that takes, and with uploads that were begun
    longer ago and never ended.

    Raises `Unavailable`: what was written down is looked at again by the next slice, before it writes down
    more.
    """
    if not after:
        if forgetting.forget_removed(database, may_go_on):
            return Collected("", 0, 0, 0)
        _abort_uploads(store, min_age, may_go_on)
    unfinished = _resume(database)
    listed = _page(store, after)
    old = sorted(
        {found.key for found in listed.objects if listed.age(found) > min_age}.difference(unfinished)
    )
    removed, in_time = _remove(database, store, unfinished, min_age, may_go_on)
    following: str | None = after
    for first in range(0, len(old), AT_ONCE):
        if not in_time:
            break
        keys = old[first : first + AT_ONCE]
        some, in_time = _remove(database, store, keys, min_age, may_go_on)
        removed += some
        following = keys[-1]
    else:
        following = listed.following
    sizes = {found.key: found.size for found in listed.objects}
    gone = sum(sizes.get(key, 0) for key in removed)
    with database.session() as session:
        session.execute(_FORGET, {"seconds": _FORGET_AFTER_SECONDS})
        tallies.add(session, {"collected_objects": len(removed), "collected_bytes": gone})
    return Collected(following, len(listed.objects), len(removed), gone)


@dataclass(frozen=True)
class _Page:
    objects: Sequence[Listed]
    now: datetime
    following: str | None

    def age(self, found: Listed) -> float:
        """In seconds, both times by the store's own clock."""
        return (self.now - found.modified) / timedelta(seconds=1)


def _page(store: ObjectStore, after: str) -> _Page:
    """The next objects after a key, prefix by prefix."""
    for prefix in PREFIXES:
        if after >= prefix and not after.startswith(prefix):
            continue  # this one is behind us
        listed, now = store.list(prefix, after if after.startswith(prefix) else None, _PAGE)
        ours = [found for found in listed if is_key(found.key)]
        if len(listed) == _PAGE:
            return _Page(ours, now, listed[-1].key)
        last = prefix == PREFIXES[-1]
        if listed or last:
            # "0" comes right after "/": behind all keys of the prefix, before those of the next one.
            return _Page(ours, now, None if last else prefix.replace("/", "0"))
    return _Page((), datetime.min, None)


def _resume(database: Database) -> list[str]:
    """What an earlier slice wrote down and did not come to remove."""
    with database.session() as session:
        return list(session.scalars(_UNFINISHED, {"limit": _PAGE}))


def _remove(
    database: Database, store: ObjectStore, keys: Sequence[str], min_age: float, may_go_on: Callable[[], bool]
) -> tuple[list[str], bool]:
    """Those of the keys that were removed, and whether there was time for all of them."""
    if not keys:
        return [], True
    with database.session() as session:
        if not session.execute(_MAY_COLLECT, {"lock": _BACKUP_LOCK}).scalar_one():
            return [], True
        session.execute(_WAIT_BRIEFLY)
        session.execute(_EXCLUDE, {"lock": WRITERS_LOCK})
        chosen = write_down(session, keys)
    removed, young, in_time = list[str](), list[str](), True
    try:
        for key in chosen:
            # Looked at again after it was written down: who has put it before may not have seen that.
            old = _age(store, key) > min_age
            in_time = may_go_on()
            if not in_time:
                break
            if old:
                store.delete(key)
                removed.append(key)
            else:
                young.append(key)
    finally:
        with database.session() as session:
            session.execute(_REMOVED, {"keys": removed})
            session.execute(_SPARED, {"keys": young})
    if removed:
        log.info("objects_collected", objects=len(removed))
    return removed, in_time


def _abort_uploads(store: ObjectStore, min_age: float, may_go_on: Callable[[], bool]) -> None:
    """End uploads in parts whose writer is gone: nobody points to what they have brought, nor ever will."""
    aborted = 0
    try:
        for prefix in PREFIXES:
            uploads, now = store.uploads(prefix)
            for upload in uploads:
                if is_key(upload.key) and (now - upload.began).total_seconds() > min_age and may_go_on():
                    store.abort(upload)
                    aborted += 1
    except Unavailable as error:  # a store that has no such request, or refuses it, is collected all the same
        log.warning("uploads_not_aborted", reason=str(error))
    if aborted:
        log.info("uploads_aborted", uploads=aborted)


def _age(store: ObjectStore, key: str) -> float:
    """In seconds; of what is not there any more, any age will do."""
    try:
        return store.age_seconds(key)
    except NotFound:
        return float("inf")
