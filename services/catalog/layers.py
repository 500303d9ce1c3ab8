"""Layers and units of the networks in the catalog."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from imago_engine.class_names import unit_of_class
from imago_engine.networks import OUTPUT_ALIASES, Role
from imago_engine.units import UnitsError
from services.base.errors import Invalid, NotFound
from services.base.paging import Key, Keyset, Page
from services.base.states import State
from services.base.suggestions import means_output, nearest
from services.catalog.networks import get_network
from services.catalog.tables import LayerRow, NetworkRow
from services.pictures.best import BEST_FIRST
from services.pictures.tables import VisualizationRow

MOST_NETWORKS = 20
"""Networks of a layer's name at most: `output` is every network's, and a page lists them all."""


@dataclass(frozen=True)
class Layer:
    """`spatial` is (H, W) of its map, None for a vector and for tokens; `receptive_field` and `stride` are in
    pixels. `tokens`, `usual_token` and `class_token` are as `LayerInfo` has them, at the network's own size;
    `role` and `twin_of` too. `is_current` is false of one that the network has no more, or that no inspection
    has found.
    """

    network: str
    name: str
    ordinal: int
    kind: str
    units: int
    spatial: tuple[int, int] | None
    receptive_field: int | None
    stride: int | None
    tokens: int | None = None
    usual_token: int | None = None
    class_token: int | None = None
    role: Role | None = None
    twin_of: str | None = None
    is_current: bool = True

    def seen_of(self, input_size: int | None) -> int | None:
        """Side of what one unit sees of an input of this side, None where that is all of it: a receptive
        field that is larger than the input ends where the input does."""
        field = self.receptive_field
        return None if field is None or (input_size is not None and field >= input_size) else field


@dataclass(frozen=True)
class MapBounds:
    """What is known of the map (H, W) that a layer has at some input size: `least` is there for certain, and
    beyond `most` nothing is; None where only the network itself could tell.
    """

    least: tuple[int, int] | None
    most: tuple[int, int] | None


@dataclass(frozen=True)
class Unit:
    """`pictures` counts its done visualizations of the network as it is; `best` is the digest of the one that
    the network finds best, `activation` its response to that. `is_current` is as its layer's."""

    network: str
    layer: str
    unit: int
    label: str | None
    pictures: int
    best: str | None
    activation: float | None
    is_current: bool = True


def get_layer(session: Session, network: str, name: str, *, or_former: bool = False) -> Layer:
    """The layer of that name; `output` and `logits` are any network's output layer. `or_former`: also one
    that the network had before it changed, or that is known by an imported atlas alone. Raises `NotFound`."""
    known = sa.select(LayerRow).where(LayerRow.network_id == network)
    current = known.where(LayerRow.is_current)
    row = session.get(LayerRow, (network, name)) if name not in OUTPUT_ALIASES else None
    if row is not None and (row.is_current or or_former):
        return view_of(row)
    output = session.scalars(
        (known if or_former else current)
        .where(LayerRow.kind == "output")
        .order_by(LayerRow.is_current.desc(), LayerRow.ordinal.desc())
        .limit(1)
    ).first()
    if output is not None and name in OUTPUT_ALIASES:
        return view_of(output)
    get_network(session, network)
    names = list(session.scalars(current.with_only_columns(LayerRow.name).order_by(LayerRow.ordinal)))
    raise NotFound("layer", name, _instead(network, name, names, output.name if output else None))


def networks_with(session: Session, layer: str, network: str | None = None) -> Sequence[str]:
    """Ids of networks, or the one named, that have a layer of this name; `output` is any network's. At most
    `MOST_NETWORKS` of them."""
    query = (
        sa.select(LayerRow.network_id)
        .where(LayerRow.is_current)
        .where(LayerRow.kind == "output" if layer in OUTPUT_ALIASES else LayerRow.name == layer)
    )
    if network is not None:
        query = query.where(LayerRow.network_id == network)
    return session.scalars(query.distinct().order_by(LayerRow.network_id).limit(MOST_NETWORKS)).all()


def _instead(network: str, wrong: str, names: Sequence[str], output: str | None) -> str:
    """What a network has instead of the layer `wrong`: names like it, and the output if it may be meant."""
    if not names:
        return ""
    if wrong in OUTPUT_ALIASES:
        last = names[-5:]
        return (
            f"{network} has no output layer: what it returns is not what one of its layers gives. The last "
            f"of its layers are: {', '.join(last)}{', …' if len(names) > len(last) else ''}."
        )
    near = list(nearest(wrong, names))
    if output is not None and means_output(wrong):
        near = ["output", *[name for name in near if name != output][:4]]
    return f"{network} has: {', '.join(near)}{', …' if len(names) > len(near) else ''}."


def map_at(layer: Layer, own_size: int, input_size: int) -> MapBounds:
    """The map that `layer` has at `input_size` pixels, from the one that it has at the network's `own_size`.

    A layer that sees a window (it has a stride) gains one place a stride of pixels, whatever its paddings; a
    size that is not whole strides away is between two that are. A pool may be adaptive, with a map of one
    size whatever goes in, so none is taken to shrink. Layers without a stride see everything; their map
    cannot be told.
    """
    if layer.spatial is None or input_size == own_size:
        return MapBounds(layer.spatial, layer.spatial)
    if layer.stride is None:
        return MapBounds(None, None)
    pixels, pool = input_size - own_size, layer.kind == "pool"
    fewer, more = pixels // layer.stride, -(-pixels // layer.stride)
    height, width = layer.spatial
    least = fewer if not pool else min(fewer, 0)
    most = more if not pool else max(more, 0)
    return MapBounds(
        (max(1, height + least), max(1, width + least)), (max(1, height + most), max(1, width + most))
    )


def most_tokens(layer: Layer, own_size: int, input_size: int) -> int | None:
    """More tokens than these a layer of tokens does not have at `input_size` pixels, for all that it has at
    the network's `own_size`: their number grows with the picture's area at most. None for other layers.
    """
    if layer.tokens is None:
        return None
    return layer.tokens * max(1, -(-input_size // own_size)) ** 2


def get_unit(session: Session, network: str, layer: str, unit: int, *, or_former: bool = False) -> Unit:
    """Raises `NotFound` when the layer, found as `get_layer` does, has no such unit."""
    found = get_layer(session, network, layer, or_former=or_former)
    if not 0 <= unit < found.units:
        raise NotFound("unit", str(unit), f"Layer {layer!r} has {found.units} units (0–{found.units - 1}).")
    return _units(session, found, unit, unit + 1)[0]


def list_units(
    session: Session,
    network: str,
    layer: str,
    *,
    label: str | None = None,
    or_former: bool = False,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Unit]:
    """Units by number, or the one whose class is called `label`, of the layer that `get_layer` finds.

    Raises `NotFound`, or `Invalid` for a wrong cursor or limit and for a label that no class has, or several.
    """
    found = get_layer(session, network, layer, or_former=or_former)
    if label is not None:
        try:
            unit = unit_of_class(label, unit_labels(session, found))
        except UnitsError as error:
            raise Invalid.field("/label", str(error)) from None
        return Page(tuple(_units(session, found, unit, unit + 1)), None)

    def read(after: Key | None, most: int) -> Sequence[Unit]:
        first = 0 if after is None else int(after[0]) + 1
        return _units(session, found, first, min(first + most, found.units))

    return Keyset("units", (int,)).page(cursor, limit, read, lambda unit: [unit.unit])


def _units(session: Session, layer: Layer, first: int, end: int) -> list[Unit]:
    table = VisualizationRow
    done = (
        sa.select(table.unit, table.digest, table.activation)
        .where(table.network_id == layer.network, table.layer == layer.name)
        .where(table.unit >= first, table.unit < end, table.state == State.DONE)
        .where(table.network_sha256 == current_sha256(layer.network))
        .order_by(table.unit, *BEST_FIRST)
    )
    pictures: dict[int, list[tuple[str, float | None]]] = {}
    for unit, digest, activation in session.execute(done):
        pictures.setdefault(unit, []).append((digest, activation))
    labels = unit_labels(session, layer)

    def shown(unit: int) -> Unit:
        label = labels[unit] if unit < len(labels) else None
        of_unit = pictures.get(unit, [])
        best, activation = of_unit[0] if of_unit else (None, None)
        return Unit(layer.network, layer.name, unit, label, len(of_unit), best, activation, layer.is_current)

    return [shown(unit) for unit in range(first, end)]


def current_sha256(network: str) -> sa.ScalarSelect[str | None]:
    """What pictures of the network as it is now name it by: those of earlier inspections name another."""
    return sa.select(NetworkRow.spec_sha256).where(NetworkRow.id == network).scalar_subquery()


def unit_labels(session: Session, layer: Layer) -> Sequence[str]:
    """Names of the layer's units: those of the network's classes for its output layer, none for any other."""
    return labels_of_layer(session, layer.network, layer.name) if layer.kind == "output" else ()


def labels_of_layer(session: Session, network: str, layer: str) -> Sequence[str]:
    """The same for a layer by its own name, which may be one that the network has no more, or that no
    inspection has found yet."""
    return labels_of_layers(session, [(network, layer)]).get((network, layer), ())


def labels_of_layers(
    session: Session, layers: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[str]]:
    """The same for several layers at once, by pairs of a network and a layer's own name. Those whose units
    have no names are left out."""
    row = LayerRow
    query = (
        sa.select(row.network_id, row.name, row.units, NetworkRow.labels)
        .join(NetworkRow, NetworkRow.id == row.network_id)
        .where(row.kind == "output", sa.tuple_(row.network_id, row.name).in_(layers))
    )
    rows = session.execute(query) if layers else ()
    return {
        (found.network_id, found.name): found.labels
        for found in rows
        if found.labels is not None and len(found.labels) == found.units
    }


def view_of(row: LayerRow) -> Layer:
    """The row as callers see it."""
    spatial = None if row.height is None or row.width is None else (row.height, row.width)
    return Layer(
        row.network_id,
        row.name,
        row.ordinal,
        row.kind,
        row.units,
        spatial,
        row.receptive_field,
        row.stride,
        row.tokens,
        row.usual_token,
        row.class_token,
        cast("Role | None", row.role),
        row.twin_of,
        row.is_current,
    )
