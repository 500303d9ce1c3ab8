"""The index of pictures: their embeddings by the eye of this release, and what their networks say of them.

A picture is indexed in the transaction that makes it done. Where its worker could not, or another release
made it, `visualizations.eye` says that it is not, and the chore `index` finds it there.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.weights import EYE
from services.pictures.artifacts import StoredArtifact, listed

LABEL = """
    INSERT INTO picture_labels (digest, rank, label, probability, network_id, layer, unit)
    SELECT v.digest, said.rank, coalesce(n.labels ->> CAST(said.entry ->> 0 AS int), said.entry ->> 0),
        CAST(said.entry ->> 1 AS float), v.network_id, v.layer, v.unit
    FROM {source} v JOIN networks n ON n.id = v.network_id
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(v.predictions) WHEN 'array' THEN v.predictions ELSE '[]' END
    ) WITH ORDINALITY AS said (entry, rank)
    ON CONFLICT (digest, rank) DO NOTHING
"""
"""Of pictures with predictions, [[class, probability], …], the most probable first."""
EMBED = """
    INSERT INTO embeddings (digest, eye, network_id, layer, unit, vector)
    SELECT v.digest, r.eye, v.network_id, v.layer, v.unit, CAST(r.embedding AS halfvec)
    FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (digest text, eye text, embedding text)
    JOIN visualizations v ON v.digest = r.digest WHERE r.embedding IS NOT NULL
    ON CONFLICT (digest, eye) DO UPDATE SET vector = EXCLUDED.vector
"""
"""Of results with a `digest`, `eye` and `embedding`, as JSON in the parameter `results`."""
FINISHED = f"""
    embedded AS ({EMBED}),
    labelled AS ({
    LABEL.format(
        source='''(
        SELECT v.digest, v.network_id, v.layer, v.unit, r.predictions
        FROM jsonb_to_recordset(CAST(:results AS jsonb)) AS r (digest text, predictions jsonb)
        JOIN visualizations v ON v.digest = r.digest
    )'''
    )
})
"""
"""Parts of a WITH that index results while a statement makes them done."""

_UNSEEN = f"state = 'done' AND eye IS DISTINCT FROM '{EYE}'"
# Spelled out, so that the planner sees that the partial index has what is looked for.
_ANY = text(f"SELECT EXISTS (SELECT FROM visualizations WHERE {_UNSEEN})")
_ANY_OF_NETWORK = text(
    f"SELECT EXISTS (SELECT FROM visualizations WHERE {_UNSEEN} AND network_id = :network)"
)
_ANY_OF_LAYER = text(
    f"SELECT EXISTS (SELECT FROM visualizations WHERE {_UNSEEN} AND network_id = :network AND layer = :layer)"
)
_NEXT = text(f"""
    SELECT v.network_id, v.layer, v.unit, v.digest, (
        SELECT json_agg(json_build_object('kind', kind, 'object', object, 'media_type', media_type,
            'bytes', bytes, 'width', width, 'height', height))
        FROM artifacts WHERE artifacts.digest = v.digest
    ) AS artifacts
    FROM visualizations v
    WHERE {_UNSEEN} AND (v.network_id, v.layer, v.unit, v.digest) > (:network, :layer, :unit, :digest)
    ORDER BY v.network_id, v.layer, v.unit, v.digest LIMIT :limit
""")
_LOCK = text(f"""
    SELECT digest FROM visualizations WHERE digest = ANY(CAST(:digests AS text[])) AND {_UNSEEN}
    ORDER BY digest FOR NO KEY UPDATE
""")
_EMBED = text(EMBED)
_LABEL = text(
    LABEL.format(source="(SELECT * FROM visualizations WHERE digest = ANY(CAST(:digests AS text[])))")
)
_SEEN = text("UPDATE visualizations SET eye = :eye WHERE digest = ANY(CAST(:digests AS text[]))")
_FORGET = (
    text("DELETE FROM embeddings WHERE digest = ANY(CAST(:digests AS text[]))"),
    text("DELETE FROM picture_labels WHERE digest = ANY(CAST(:digests AS text[]))"),
    text("UPDATE visualizations SET eye = NULL WHERE digest = ANY(CAST(:digests AS text[]))"),
)
_OTHER_EYES = text("""
    DELETE FROM embeddings WHERE (digest, eye) IN (
        SELECT digest, eye FROM embeddings WHERE eye < :eye OR eye > :eye LIMIT :limit
    )
""")


@dataclass(frozen=True)
class Place:
    """Where a round through the pictures is: after this one."""

    network: str = ""
    layer: str = ""
    unit: int = -1
    digest: str = ""


@dataclass(frozen=True)
class Unseen:
    """A picture that is done and has no embedding yet."""

    place: Place
    artifacts: Mapping[str, StoredArtifact]

    @property
    def digest(self) -> str:
        """Its own."""
        return self.place.digest


def lacks(session: Session, network: str | None = None, layer: str | None = None) -> bool:
    """Whether there are pictures, of that network or layer, that the index does not hold yet."""
    if network is None:
        return bool(session.execute(_ANY).scalar_one())
    if layer is None:
        return bool(session.execute(_ANY_OF_NETWORK, {"network": network}).scalar_one())
    return bool(session.execute(_ANY_OF_LAYER, {"network": network, "layer": layer}).scalar_one())


def following(session: Session, after: Place, limit: int) -> Sequence[Unseen]:
    """The next pictures that are not indexed."""
    rows = session.execute(_NEXT, {**vars(after), "limit": limit})
    return [
        Unseen(Place(row.network_id, row.layer, row.unit, row.digest), listed(row.artifacts)) for row in rows
    ]


def add(session: Session, embeddings: Mapping[str, Sequence[float]]) -> int:
    """Index pictures, named by their digests, that are not yet; returns how many were."""
    digests = list(session.scalars(_LOCK, {"digests": list(embeddings)}))
    results = [{"digest": d, "eye": EYE, "embedding": list(embeddings[d])} for d in digests]
    session.execute(_EMBED, {"results": json.dumps(results, allow_nan=False)})
    session.execute(_LABEL, {"digests": digests})
    session.execute(_SEEN, {"eye": EYE, "digests": digests})
    return len(digests)


def forget(session: Session, digests: Collection[str]) -> None:
    """Take pictures, which the caller holds, out of the index: they were made again."""
    for statement in _FORGET:
        session.execute(statement, {"digests": list(digests)})


def drop_other_eyes(session: Session, limit: int) -> int:
    """Remove up to so many embeddings by eyes of other releases; returns how many there were."""
    result = session.execute(_OTHER_EYES, {"eye": EYE, "limit": limit})
    return int(result.rowcount)  # type: ignore[attr-defined]
