"""Rows of layers whose pictures are done, or wait, without any being computed: they share the few pictures
that `benchmarks.reads_scene` makes. Whole layers are written by one statement each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.reads_scene import CLASSES
from benchmarks.reads_scene import NETWORK as WITH_PICTURES

UNREACHABLE_EACH = 100
"""One unit of so many is unreachable."""
_DIGEST = "encode(sha256(convert_to(CAST(:network AS text) || '/' || l.layer || '/' || u, 'UTF8')), 'hex')"
_UNITS = """
    unnest(CAST(:layers AS text[]), CAST(:numbers AS int[]), CAST(:counts AS int[])) AS l (layer, no, units)
    CROSS JOIN LATERAL generate_series(0, l.units - 1) AS u
"""
_LOST = f"(u % {UNREACHABLE_EACH} = 13)"
_VISUALIZATIONS = text(f"""
    INSERT INTO visualizations (digest, network_id, network_sha256, layer, unit, generator_id, recipe_digest,
        seed, engine, batch_key, state, lane, queue_order, activation, score, predictions, finished_at, eye)
    SELECT {_DIGEST}, :network, (SELECT spec_sha256 FROM networks WHERE id = :network), l.layer, u,
        some_row.generator_id, some_row.recipe_digest, 0, some_row.engine, some_row.batch_key,
        CASE WHEN {_LOST} THEN 'unreachable' ELSE 'done' END, some_row.lane, u,
        CASE WHEN {_LOST} THEN NULL ELSE 100 * random() END, random(),
        jsonb_build_array(
            jsonb_build_array(u % {CLASSES}, 0.6), jsonb_build_array((u + 7) % {CLASSES}, 0.2),
            jsonb_build_array((u + 77) % {CLASSES}, 0.1)
        ),
        now(), :eye
    FROM {_UNITS}, (SELECT * FROM visualizations WHERE network_id = :pictures LIMIT 1) AS some_row
""")
_ARTIFACTS = text(f"""
    INSERT INTO artifacts (digest, kind, object, media_type, bytes, width, height)
    SELECT {_DIGEST}, a.kind, a.object, a.media_type, a.bytes, a.width, a.height
    FROM {_UNITS}
    JOIN (
        SELECT digest, row_number() OVER (ORDER BY digest) - 1 AS number, count(*) OVER () AS all_of_them
        FROM visualizations WHERE network_id = :pictures
    ) AS made ON made.number = u % made.all_of_them
    JOIN artifacts a ON a.digest = made.digest
    WHERE NOT {_LOST}
""")
_ENTRIES = text(f"""
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT :atlas_no, l.no, u, 0, 1, {_DIGEST} FROM {_UNITS}
""")
_ATLAS = text("""
    INSERT INTO atlases (id, name, network_id, visibility, wish, request_hash)
    VALUES (:atlas, :name, :network, 'public', 'build', '') RETURNING no
""")
_LAYER = text("""
    INSERT INTO atlas_layers (atlas_no, layer_no, layer, ordinal, units, unit_count, facets, making, expanded)
    VALUES (:atlas_no, :number, :layer, :number, 'all', :units, 1, CAST(:making AS jsonb), :units)
""")
_VERSION = text("""
    INSERT INTO atlas_versions (atlas_no, number, request, network_sha256, layers, published_at)
    SELECT :atlas_no, :number, CAST(:request AS jsonb), spec_sha256, CAST(:layers AS jsonb),
        CASE WHEN CAST(:layers AS jsonb) IS NOT NULL THEN now() END
    FROM networks WHERE id = :network
""")
_REQUEST = {"layers": "all", "units": "all", "facets": 1, "recipe": {"technique": "dgn-am", "parameters": {}}}
MAKING: dict[str, Any] = {
    "technique": "dgn-am",
    "parameters": {"steps": 200},
    "generator": "bench",
    "batch_key": "bench",
}


@dataclass(frozen=True)
class LayerOfUnits:
    """A layer with so many units, and its number in atlases."""

    name: str
    number: int
    units: int

    @property
    def unreachable(self) -> int:
        """How many of its units no gradient reaches."""
        return len(range(13, self.units, UNREACHABLE_EACH))


def finished(session: Session, network: str, layers: Sequence[LayerOfUnits], eye: str | None = None) -> None:
    """Pictures of all units of these layers, with predictions; `eye` is that of which embeddings follow."""
    given = {**_of(network, layers), "pictures": WITH_PICTURES, "eye": eye}
    session.execute(_VISUALIZATIONS, given)
    session.execute(_ARTIFACTS, given)


def entered(session: Session, network: str, layers: Sequence[LayerOfUnits], atlas_no: int) -> None:
    """These pictures as entries of an atlas."""
    session.execute(_ENTRIES, {**_of(network, layers), "atlas_no": atlas_no})


def atlas(
    session: Session, id: str, name: str, network: str, layers: Sequence[LayerOfUnits], *, published: bool
) -> int:
    """An atlas of these layers, without its entries: one version that was published and the next, or the one
    that is being built; returns its number."""
    given: dict[str, Any] = {"atlas": id, "name": name, "network": network}
    number = session.execute(_ATLAS, given).scalar_one()
    given["atlas_no"] = number
    rows = [
        {"atlas_no": number, "number": each.number, "layer": each.name, "units": each.units}
        | {"making": json.dumps(MAKING)}
        for each in layers
    ]
    session.execute(_LAYER, rows)
    frozen = [json.dumps([_shown(each) for each in layers])] if published else []
    versions = [{"number": at, "layers": shown} for at, shown in enumerate([*frozen, None], start=1)]
    of_all = {"atlas_no": number, "network": network, "request": json.dumps(_REQUEST)}
    session.execute(_VERSION, [{**of_all, **each} for each in versions])
    return int(number)


def _shown(layer: LayerOfUnits) -> dict[str, Any]:
    """As a published version keeps it."""
    return {
        "layer_no": layer.number,
        "layer": layer.name,
        "ordinal": layer.number,
        "units": "all",
        "unit_count": layer.units,
        "facets": 1,
        "technique": MAKING["technique"],
        "parameters": MAKING["parameters"],
        "generator": MAKING["generator"],
        "pictures": layer.units - layer.unreachable,
        "unreachable": layer.unreachable,
        "shown_units": layer.units,
    }


def _of(network: str, layers: Sequence[LayerOfUnits]) -> dict[str, Any]:
    return {
        "network": network,
        "layers": [each.name for each in layers],
        "numbers": [each.number for each in layers],
        "counts": [each.units for each in layers],
    }
