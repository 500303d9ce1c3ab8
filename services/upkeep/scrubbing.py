"""Looking whether the store still has what the rows point to, each object with the bytes that its key names.

One round goes over all rows in the order of their keys, in slices; visualizations are ordered by digest, so
each slice of theirs is also a random sample. What a round found stands in the notes that it left.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import text

from services.base.database import Database
from services.base.errors import NotFound
from services.base.storage import Corrupt, ObjectStore, generator_key
from services.pictures import losses
from services.pictures.losses import Reason, Subject
from services.upkeep import tallies

log = structlog.get_logger()

STAGES = (
    *("generators", "trainings", "samples", "crops", "sheets", "tiles", "maps", "pairs"),
    *("exports", "export_parts", "visualizations"),
)


@dataclass(frozen=True)
class Cursor:
    """Where a round is: within which table, and after which of its rows."""

    stage: str = STAGES[0]
    after: str = ""

    def as_json(self) -> dict[str, str]:
        """As it is kept in a row."""
        return {"stage": self.stage, "after": self.after}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "Cursor":
        """From what `as_json` has given; a new round where there is none."""
        stage = payload.get("stage")
        return cls(stage, payload.get("after", "")) if stage in STAGES else cls()


@dataclass(frozen=True)
class Slice:
    """What one slice came to. `cursor` is None at the end of a round."""

    cursor: Cursor | None
    rows: int
    objects: int
    lost: int


# By the primary key alone, whatever the state: the time of a slice does not depend on what is in the table.
_ROWS = {
    "generators": text(
        "SELECT id, weights_sha256, is_here FROM generators WHERE id > :after ORDER BY id LIMIT :limit"
    ),
    "trainings": text("""
        SELECT id, state, log_object, card_object FROM trainings WHERE id > :after ORDER BY id LIMIT :limit
    """),
    "samples": text("""
        SELECT training_id, pictures, image_object FROM training_samples
        WHERE (training_id, pictures) > (split_part(:after, '/', 1),
            CAST(coalesce(nullif(split_part(:after, '/', 2), ''), '-1') AS bigint))
        ORDER BY training_id, pictures LIMIT :limit
    """),
    "crops": text("""
        SELECT s.id, p.number, p.object FROM crop_packs p JOIN scans s ON s.no = p.scan_no
        WHERE (s.id, p.number) > (split_part(:after, '/', 1),
            CAST(coalesce(nullif(split_part(:after, '/', 2), ''), '-1') AS int))
        ORDER BY s.id, p.number LIMIT :limit
    """),
    "sheets": text("SELECT name, picture_object FROM sheets WHERE name > :after ORDER BY name LIMIT :limit"),
    "maps": text("SELECT name, points_object FROM maps WHERE name > :after ORDER BY name LIMIT :limit"),
    "tiles": text("""
        SELECT sheet, level, col, row, object FROM sheet_tiles
        WHERE (sheet, level, col, row) > (split_part(:after, '/', 1),
            CAST(coalesce(nullif(split_part(:after, '/', 2), ''), '-1') AS int),
            CAST(coalesce(nullif(split_part(:after, '/', 3), ''), '-1') AS int),
            CAST(coalesce(nullif(split_part(:after, '/', 4), ''), '-1') AS int))
        ORDER BY sheet, level, col, row LIMIT :limit
    """),
    "pairs": text("""
        SELECT comparison, ordinal, sheet_object FROM compared_layers
        WHERE (comparison, ordinal) > (CAST(coalesce(nullif(split_part(:after, '/', 1), ''), '-1') AS int),
            CAST(coalesce(nullif(split_part(:after, '/', 2), ''), '-1') AS int))
        ORDER BY comparison, ordinal LIMIT :limit
    """),
    "exports": text("""
        SELECT a.no, a.id, e.number, manifest_object, sums_object FROM atlas_exports e
        JOIN atlases a ON a.no = e.atlas_no
        WHERE (e.atlas_no, e.number) > (CAST(coalesce(nullif(split_part(:after, '/', 1), ''), '-1') AS int),
            CAST(coalesce(nullif(split_part(:after, '/', 2), ''), '-1') AS int))
        ORDER BY e.atlas_no, e.number LIMIT :limit
    """),
    "export_parts": text("""
        SELECT a.no, a.id, p.number, part, units_object, table_object, sums_object FROM atlas_export_parts p
        JOIN atlases a ON a.no = p.atlas_no
        WHERE (p.atlas_no, p.number, part) > (
            CAST(coalesce(nullif(split_part(:after, '/', 1), ''), '-1') AS int),
            CAST(coalesce(nullif(split_part(:after, '/', 2), ''), '-1') AS int),
            CAST(coalesce(nullif(split_part(:after, '/', 3), ''), '-1') AS int))
        ORDER BY p.atlas_no, p.number, part LIMIT :limit
    """),
    "visualizations": text("""
        SELECT digest, ARRAY(
            SELECT object FROM artifacts WHERE artifacts.digest = visualizations.digest ORDER BY kind
        ) AS objects
        FROM visualizations WHERE digest > :after ORDER BY digest LIMIT :limit
    """),
}


def fault_of(store: ObjectStore, key: str) -> Reason | None:
    """What is wrong with an object. Raises `Unavailable` when the store does not say."""
    try:
        store.verified(key).close()
    except NotFound:
        return "missing"
    except Corrupt:
        return "damaged"
    return None


def scrub(
    database: Database,
    store: ObjectStore,
    cursor: Cursor,
    *,
    rows: int,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Slice:
    """Look at the objects of the next `rows` rows, fewer once `may_go_on` is false, and note what is lost.

    Raises `Unavailable`; what was found before is noted already.
    """
    with database.session() as session:
        following = session.execute(_ROWS[cursor.stage], {"after": cursor.after, "limit": rows}).all()
    seen = objects = lost = 0
    for row in following:
        if not may_go_on():
            break
        after, targets = _targets(cursor.stage, row)
        for subject, key in targets:
            objects += 1
            reason = fault_of(store, key)
            if reason is not None:
                lost += _note(database, subject, key, reason)
        cursor, seen = Cursor(cursor.stage, after), seen + 1
    with database.session() as session:
        tallies.add(session, {"scrubbed_objects": objects})
    if seen < len(following) or len(following) == rows:
        return Slice(cursor, seen, objects, lost)
    position = STAGES.index(cursor.stage)
    return Slice(Cursor(STAGES[position + 1]) if position + 1 < len(STAGES) else None, seen, objects, lost)


def _note(database: Database, subject: Subject, key: str, reason: Reason) -> bool:
    with database.session() as session:
        noted = losses.note(session, subject, key, reason, "scrub") is not None
    if noted:  # else it was replaced since the row was read
        log.error("object_lost", key=key, subject=str(subject), reason=reason)
    return noted


def _targets(stage: str, row: Any) -> tuple[str, Sequence[tuple[Subject, str]]]:
    """The cursor after a row, and its objects with what points to them."""
    if stage == "generators":
        key = generator_key(row.weights_sha256)
        return row.id, [(Subject("generator", row.id), key)] if row.is_here else []
    if stage == "samples":
        id = f"{row.training_id}/{row.pictures}"
        return id, [(Subject("sample", id), row.image_object)] if row.image_object else []
    if stage == "crops":
        id = f"{row.id}/{row.number}"
        return id, [(Subject("crops", id), row.object)]
    if stage == "sheets":
        return row.name, [(Subject("sheet", row.name), row.picture_object)] if row.picture_object else []
    if stage == "maps":
        return row.name, [(Subject("map", row.name), row.points_object)]
    if stage == "tiles":
        id = f"{row.sheet}/{row.level}/{row.col}/{row.row}"
        return id, [(Subject("tile", id), row.object)]
    if stage == "pairs":
        id = f"{row.comparison}/{row.ordinal}"
        return id, [(Subject("pairs", id), row.sheet_object)] if row.sheet_object else []
    if stage in ("exports", "export_parts"):
        named = [key for column, key in row._mapping.items() if column.endswith("_object") and key]
        place = [row.no, row.number, *([row.part] if stage == "export_parts" else [])]
        subject = Subject("export", f"{row.id}/{row.number}")
        return "/".join(map(str, place)), [(subject, key) for key in named]
    if stage == "trainings":
        # What a training replaces while it runs is not lost.
        ended = row.state in ("succeeded", "failed", "canceled")
        left = (("log", row.log_object), ("card", row.card_object)) if ended else ()
        return row.id, [(Subject(kind, row.id), key) for kind, key in left if key]  # type: ignore[arg-type]
    return row.digest, [(Subject("visualization", row.digest), key) for key in row.objects]
