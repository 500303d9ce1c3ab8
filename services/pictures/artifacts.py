"""What a finished picture consists of: its artifacts, each an object of the store.

`imago_engine.artifacts` says which kinds there are; nothing here names one. Rows of artifacts are changed by
those transactions only that hold the row of their visualization.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.artifacts import Artifact
from services.base.storage import ObjectStore

INSERT = """
    INSERT INTO artifacts (digest, kind, object, media_type, bytes, width, height)
    SELECT r.digest, a.kind, a.object, a.media_type, a.bytes, a.width, a.height
    FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (digest text, artifacts jsonb)
    CROSS JOIN LATERAL jsonb_to_recordset(r.artifacts) AS a (
        kind text, object text, media_type text, bytes int, width int, height int)
"""
"""Of results with a `digest` and `artifacts`, as JSON in the parameter `results`."""
_INSERT = text(INSERT)
_SIDES = text("""
    SELECT digest, greatest(width, height) AS side FROM artifacts
    WHERE digest = ANY(CAST(:digests AS text[])) AND kind = :kind
""")
_DELETE = text("DELETE FROM artifacts WHERE digest = ANY(CAST(:digests AS text[]))")


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact whose object is in the store. `kind` is one of `ArtifactKind`, or one of another release.

    `bytes` is None where an earlier release did not note it; `width` and `height` are those of a picture.
    """

    kind: str
    object: str
    media_type: str
    bytes: int | None
    width: int | None = None
    height: int | None = None


LISTED: sa.ColumnElement[Any] = sa.literal_column("""(
    SELECT json_agg(json_build_object('kind', kind, 'object', object, 'media_type', media_type,
        'bytes', bytes, 'width', width, 'height', height) ORDER BY kind)
    FROM artifacts WHERE artifacts.digest = visualizations.digest
)""")
"""A column of statements that select visualizations, for `listed`: one look into the primary key each. In an
order of their own, so that the same visualization is always answered with the same bytes."""


def sides(session: Session, digests: Sequence[str], kind: str) -> Mapping[str, int | None]:
    """Pixels of the longer sides of pictures of a kind, by the digests of their visualizations; None where an
    earlier release did not note it. Those that there are not are left out."""
    rows = session.execute(_SIDES, {"digests": list(digests), "kind": kind}) if digests else ()
    return {row.digest: row.side for row in rows}


def put(store: ObjectStore, artifact: Artifact) -> StoredArtifact:
    """Put its bytes, also where they seem to be there: what is put is young, and what is young is not
    collected. Raises `Unavailable`."""
    return StoredArtifact(
        kind=artifact.kind,
        object=store.put(artifact.kind, artifact.bytes, artifact.media_type),
        media_type=artifact.media_type,
        bytes=len(artifact.bytes),
        width=artifact.width,
        height=artifact.height,
    )


def listed(column: Iterable[Mapping[str, Any]] | None) -> Mapping[str, StoredArtifact]:
    """By their kinds, from what `LISTED` has selected."""
    return {found["kind"]: StoredArtifact(**found) for found in column or ()}


def replace(session: Session, artifacts: Mapping[str, Sequence[StoredArtifact]]) -> None:
    """Let visualizations, which the caller holds and which are named by their digests, consist of these."""
    results = [
        {"digest": digest, "artifacts": [asdict(artifact) for artifact in found]}
        for digest, found in artifacts.items()
    ]
    session.execute(_DELETE, {"digests": list(artifacts)})
    session.execute(_INSERT, {"results": json.dumps(results)})
