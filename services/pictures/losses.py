"""What a row points to and the store does not have, or not with the right bytes: noting it, and reading what
was noted.

The row stays as it is. A note is a row of `work` of the kind `repair`, one for each subject however often it
is read; a worker looks again before it does anything, so that a wrong note costs one look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.base.storage import generator_key
from services.upkeep import tallies

Kind = Literal[
    "visualization", "generator", "sample", "log", "card", "crops", "sheet", "tile", "map", "pairs", "export"
]
Reason = Literal["missing", "damaged"]
FoundBy = Literal["read", "scrub", "worker"]


@dataclass(frozen=True)
class Subject:
    """What points to objects: `id` is a digest, a generator's or a training's id, and for the sample of a
    training `id/pictures`, for the crops of a scan `id/number`, for pairs of a comparison `no/layer`, for
    the export of a version of an atlas `id/number`.
    """

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """The inverse of `str`."""
        kind, _, id = text.partition(":")
        if kind not in _KEYS:
            raise ValueError(f"{text!r} is not a subject")
        return cls(kind, id)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Loss:
    """Noted and not repaired yet. `error` says why it was given up, if it was."""

    subject: Subject
    given_up: bool
    error: Mapping[str, Any] | None


_KEYS = {
    "visualization": text("SELECT object FROM artifacts WHERE digest = :id ORDER BY kind"),
    "generator": text("SELECT weights_sha256 FROM generators WHERE id = :id AND is_here"),
    "sample": text("""
        SELECT image_object FROM training_samples
        WHERE training_id = split_part(:id, '/', 1) AND pictures = CAST(split_part(:id, '/', 2) AS bigint)
    """),
    "crops": text("""
        SELECT object FROM crop_packs JOIN scans ON scans.no = scan_no
        WHERE id = split_part(:id, '/', 1) AND number = CAST(split_part(:id, '/', 2) AS int)
    """),
    "sheet": text("SELECT picture_object FROM sheets WHERE name = :id"),
    "map": text("SELECT points_object FROM maps WHERE name = :id"),
    "tile": text("""
        SELECT object FROM sheet_tiles WHERE sheet = split_part(:id, '/', 1)
        AND level = CAST(split_part(:id, '/', 2) AS int) AND col = CAST(split_part(:id, '/', 3) AS int)
        AND row = CAST(split_part(:id, '/', 4) AS int)
    """),
    "pairs": text("""
        SELECT sheet_object FROM compared_layers WHERE comparison = CAST(split_part(:id, '/', 1) AS int)
        AND ordinal = CAST(split_part(:id, '/', 2) AS int)
    """),
    "export": text("""
        SELECT unnest(ARRAY[manifest_object, e.sums_object]) FROM atlases a
        JOIN atlas_exports e ON e.atlas_no = a.no
        WHERE a.id = split_part(:id, '/', 1) AND e.number = CAST(split_part(:id, '/', 2) AS int)
        UNION ALL SELECT unnest(ARRAY[units_object, table_object, p.sums_object]) FROM atlases a
        JOIN atlas_export_parts p ON p.atlas_no = a.no
        WHERE a.id = split_part(:id, '/', 1) AND p.number = CAST(split_part(:id, '/', 2) AS int)
    """),
    "log": text("SELECT log_object FROM trainings WHERE id = :id"),
    "card": text("SELECT card_object FROM trainings WHERE id = :id"),
}
_NOTE = text("""
    INSERT INTO work (kind, subject, payload)
    VALUES ('repair', :subject, jsonb_build_object('reason', CAST(:reason AS text), 'key', CAST(:key AS text),
        'found_by', CAST(:found_by AS text)))
    ON CONFLICT (kind, subject) DO NOTHING RETURNING subject
""")
_CHANGES = text(r"""
    SELECT coalesce(sum(value), 0) FROM tallies WHERE name LIKE 'found\_%' OR name LIKE 'repaired%'
""")
_NOTED = text("SELECT given_up, error FROM work WHERE kind = 'repair' AND subject = :subject")


def keys_of(session: Session, subject: Subject) -> Sequence[str]:
    """The keys of the objects that the subject's row points to now; none if there is no such row."""
    rows = session.execute(_KEYS[subject.kind], {"id": subject.id})
    found = [key for row in rows for key in row if key is not None]
    return [generator_key(sha256) for sha256 in found] if subject.kind == "generator" else found


def note(session: Session, subject: Subject, key: str, reason: Reason, found_by: FoundBy) -> Loss | None:
    """Note that an object of the subject is lost; None if its row does not point to `key` any more.

    Writes at most one row a subject, however often it is called.
    """
    if key not in keys_of(session, subject):
        return None
    noted = {"subject": str(subject), "reason": reason, "key": key, "found_by": found_by}
    if session.execute(_NOTE, noted).first() is not None:
        tallies.add(session, {f"found_{reason}_by_{found_by}": 1})
    return noted_loss(session, subject)


def noted_loss(session: Session, subject: Subject) -> Loss | None:
    """What was noted of the subject, None if nothing was."""
    row = session.execute(_NOTED, {"subject": str(subject)}).first()
    return None if row is None else Loss(subject, row.given_up, row.error)


def changes(session: Session) -> int:
    """A number that grows whenever something was noted as lost or made again: while it stays, whatever was
    read stays right."""
    seen: int = session.execute(_CHANGES).scalar_one()
    return int(seen)
