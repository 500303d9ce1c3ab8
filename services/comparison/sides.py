"""What is compared: two versions of atlases, and which of their layers are like each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.atlases import LATEST, version_row
from services.atlases.progress import layer_rows
from services.atlases.tables import AtlasEntryRow, AtlasRow, AtlasVersionRow
from services.atlases.visibility import atlas_row
from services.base.errors import Invalid
from services.catalog.layers import labels_of_layer
from services.catalog.tables import LayerRow


@dataclass(frozen=True)
class Side:
    """A version of an atlas."""

    row: AtlasRow
    version: AtlasVersionRow

    @property
    def network(self) -> str:
        """The network that it shows."""
        return self.row.network_id


@dataclass(frozen=True)
class LayerOfBoth:
    """Layers whose units mean the same, by their names and numbers in the atlases; units below `unit_count`
    are in one of them."""

    layer: str
    other_layer: str
    a_layer_no: int
    b_layer_no: int
    unit_count: int


@dataclass(frozen=True)
class _Shown:
    layer_no: int
    units: int | None
    """Of the network's layer, where it is known."""
    is_output: bool
    labels: Sequence[str]


def resolve(session: Session, a: str, b: str, by: Principal | None) -> tuple[Side, Side]:
    """The versions named by `ATLAS` or `ATLAS@VERSION`, the latest where none is given.

    Raises `NotFound`, also for what `by` does not see, or `Invalid` for what is no such name, or twice the
    same.
    """
    sides = _side(session, a, "/a", by), _side(session, b, "/b", by)
    first, second = ((side.row.no, side.version.number) for side in sides)
    if first == second:
        raise Invalid.field("/b", f"is the same version as a: {b} is {sides[0].row.id}@{first[1]}")
    return sides


def _side(session: Session, named: str, pointer: str, by: Principal | None) -> Side:
    id, at, number = named.partition("@")
    if not id or (at and not number):
        raise Invalid.field(pointer, f"must be an atlas's id, or ATLAS@VERSION; got {named!r}")
    row = atlas_row(session, id, by)
    try:
        return Side(row, version_row(session, row, number or LATEST))
    except Invalid as error:
        raise Invalid.field(pointer, error.errors[0].detail) from error


def like_layers(session: Session, a: Side, b: Side) -> tuple[list[LayerOfBoth], list[dict[str, Any]]]:
    """Layers to compare, in the order of a's network, and those that are not, each with the reason.

    Layers are alike that have one name and equally many units, and output layers with the same classes,
    whatever their names.
    """
    ours, theirs = _layers(session, a), _layers(session, b)
    both: list[LayerOfBoth] = []
    unmatched: list[dict[str, Any]] = []
    for name, shown in ours.items():
        other = _counterpart(name, shown, theirs)
        if other is None:
            unmatched.append(_unmatched(name, shown, None, "only a has it"))
            continue
        beside = theirs.pop(other)
        if a.network != b.network and (why := _unlike(shown, beside)):
            unmatched.append(_unmatched(name, shown, beside, why))
            continue
        last = max(_last_unit(session, a, shown.layer_no), _last_unit(session, b, beside.layer_no))
        both.append(LayerOfBoth(name, other, shown.layer_no, beside.layer_no, last + 1))
    unmatched += [_unmatched(name, None, shown, "only b has it") for name, shown in theirs.items()]
    return both, unmatched


def _layers(session: Session, side: Side) -> dict[str, _Shown]:
    """Of a version, in the order of the network."""
    frozen = side.version.layers
    numbers = None if frozen is None else {layer["layer_no"] for layer in frozen}
    query = sa.select(LayerRow).where(LayerRow.network_id == side.network, LayerRow.is_current)
    known = {row.name: row for row in session.scalars(query)}
    found = {}
    for layer in layer_rows(session, side.row):
        if numbers is None or layer.layer_no in numbers:
            row = known.get(layer.layer)
            is_output = row is not None and row.kind == "output"
            labels = labels_of_layer(session, side.network, layer.layer) if is_output else ()
            found[layer.layer] = _Shown(layer.layer_no, row.units if row else None, is_output, labels)
    return found


def _counterpart(name: str, shown: _Shown, theirs: Mapping[str, _Shown]) -> str | None:
    if name in theirs:
        return name
    outputs = [other for other, beside in theirs.items() if beside.is_output]
    return outputs[-1] if shown.is_output and outputs else None


def _unlike(shown: _Shown, beside: _Shown) -> str:
    """Why units of the same number do not mean the same; empty where they do, as far as is known."""
    if None not in (shown.units, beside.units) and shown.units != beside.units:
        return "not equally many units"
    if shown.labels and beside.labels and list(shown.labels) != list(beside.labels):
        return "other classes"
    return ""


def _unmatched(name: str, shown: _Shown | None, beside: _Shown | None, reason: str) -> dict[str, Any]:
    units = {"a_units": shown and shown.units, "b_units": beside and beside.units}
    return {"layer": name, "reason": reason, **units}


def _last_unit(session: Session, side: Side, layer_no: int) -> int:
    row = AtlasEntryRow
    query = sa.select(row.unit).where(row.atlas_no == side.row.no, row.layer_no == layer_no)
    found = session.scalar(query.order_by(row.unit.desc()).limit(1))
    return -1 if found is None else found
