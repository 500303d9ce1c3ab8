"""The manifest of an export: what its pictures have in common, with the hashes of the files that list them.

Members and their order are those of the client's (`imago.exports.manifest`), which makes it of what the API
shows; a test compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from imago_engine.version import __version__
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.base.errors import NotFound
from services.catalog.generators import get_generator
from services.catalog.layers import get_layer
from services.catalog.networks import get_network
from services.exports.lines import moment
from services.exports.manifest import FORMAT, FORMAT_VERSION
from services.exports.parts import LayerLines
from services.pictures.tables import RecipeRow

_LAYER = (
    *("layer", "ordinal", "units", "unit_count", "shown_units", "facets"),
    *("technique", "parameters", "generator", "pictures", "unreachable"),
)


@dataclass(frozen=True)
class Contents:
    """What was written. `layers` by name; in them `before` counts from the beginning of units.jsonl."""

    layers: Mapping[str, LayerLines]
    recipes: Sequence[str]
    generators: Sequence[str]


def describe(
    session: Session,
    row: AtlasRow,
    version: AtlasVersionRow,
    contents: Contents,
    files: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The manifest of a published version. files: sha256 and bytes of each file that is no picture."""
    layers = [
        _layer(session, row.network_id, shown, contents.layers[shown["layer"]])
        for shown in version.layers or ()
        if shown["layer"] in contents.layers
    ]
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "made_with": f"imago {__version__}",
        "atlas": row.id,
        "version": version.number,
        "images": {"format": "png", "size": None},
        "name": row.name,
        "published_at": moment(version.published_at),
        "request": version.request,
        "network": row.network_id,
        "network_sha256": version.network_sha256,
        "network_now": _network(session, row.network_id),
        "layers": layers,
        "recipes": _recipes(session, contents.recipes),
        "generators": [_generator(session, id) for id in sorted(contents.generators)],
        "entries": sum(layer["lines"] for layer in layers),
        "pictures": sum(layer["files"] for layer in layers),
        "files": dict(files),
    }


def _layer(session: Session, network: str, shown: Mapping[str, Any], found: LayerLines) -> dict[str, Any]:
    return {
        **{name: shown[name] for name in _LAYER},
        "offset": found.before,
        "lines": found.lines,
        "files": found.pictures,
        "in_network": _in_network(session, network, shown["layer"]),
    }


def _in_network(session: Session, network: str, name: str) -> dict[str, Any] | None:
    """What is known of a layer, also of one that the network has no more, or that no inspection has found
    here; None where nothing is."""
    try:
        layer = get_layer(session, network, name, or_former=True)
    except NotFound:
        return None
    height, width = layer.spatial or (None, None)
    return {
        "id": f"{layer.network}/{layer.name}",
        "network": layer.network,
        "name": layer.name,
        "ordinal": layer.ordinal,
        "kind": layer.kind,
        "units": layer.units,
        "height": height,
        "width": width,
        "receptive_field": layer.receptive_field,
        "stride": layer.stride,
        "tokens": layer.tokens,
        "usual_token": layer.usual_token,
        "class_token": layer.class_token,
        "role": layer.role,
        "twin_of": layer.twin_of,
    }


def _network(session: Session, id: str) -> dict[str, Any]:
    network = get_network(session, id)
    sizes = network.input_sizes
    return {
        "id": network.id,
        "state": network.state,
        "error": network.error,
        "source": network.source,
        "architecture": network.architecture,
        "weights": network.weights,
        "weights_sha256": network.weights_sha256,
        "network_sha256": network.spec_sha256,
        "preprocessing": network.preprocessing,
        "input_sizes": sizes
        and {"own": network.own_size, **{name: sizes[name] for name in ("step", "least", "most")}},
        "inspection_due": network.inspection_due,
        "classes": network.outputs or len(network.labels) or network.classes,
        "labels": [*network.labels],
        "stated": network.as_stated,
        "created_at": moment(network.created_at),
        "inspected_at": moment(network.inspected_at),
    }


def _recipes(session: Session, digests: Sequence[str]) -> dict[str, Any]:
    query = sa.select(RecipeRow).where(RecipeRow.digest.in_(digests))
    found = {recipe.digest: recipe for recipe in session.scalars(query)}
    return {
        digest: {"technique": found[digest].technique, "parameters": found[digest].parameters}
        for digest in sorted(digests)
    }


def _generator(session: Session, id: str) -> dict[str, Any]:
    generator = get_generator(session, id)
    return {
        "id": generator.id,
        "architecture": generator.architecture,
        "code_shape": [*generator.code_shape],
        "image_size": generator.image_size,
        "encoder": generator.encoder,
        "weights_sha256": generator.weights_sha256,
        "recommended": dict(generator.recommended),
        "training": dict(generator.info.get("training") or {}),
        "created_at": moment(generator.created_at),
    }
