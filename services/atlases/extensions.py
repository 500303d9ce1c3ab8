"""What an extension adds to an atlas: settled and checked before anything is written."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from imago_engine.units import UnitsError, read_units, written
from services.atlases.atlas_request import AtlasExtension
from services.atlases.creation import generator_of, layer_row
from services.atlases.layer_plans import MOST_PICTURES, LayerPlan, plan_layers
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.atlases.versions import candidates_of, open_version
from services.base.errors import Conflict, Invalid
from services.catalog.layer_selection import by_name
from services.catalog.networks import Network, get_network
from services.jobs.job_request import RecipeRequest


@dataclass(frozen=True)
class GrownLayer:
    """A layer that the atlas has, and what it is to have of it: units in words, so many, and facets."""

    row: AtlasLayerRow
    units: str
    unit_count: int
    facets: int

    @property
    def has_more_units(self) -> bool:
        """Whether there are units that the layer has not yet."""
        return self.unit_count != self.row.unit_count


@dataclass(frozen=True)
class ExtensionPlan:
    """An extension as it would be carried out: layers that are new, and those that grow. Neither where the
    atlas has all that was asked for. `version` is the open one.
    """

    network: Network
    version: AtlasVersionRow
    asked: AtlasExtension
    facets: int
    added: Sequence[LayerPlan]
    grown: Sequence[GrownLayer]

    @property
    def generator(self) -> str | None:
        """What the atlas is pinned to; None where no layer needs one."""
        return self.version.generator_id or generator_of(self.added)


def plan_extension(session: Session, row: AtlasRow, extension: AtlasExtension) -> ExtensionPlan:
    """Check and settle an extension; writes nothing.

    Raises `Invalid` for wrong fields and for what would take something away, `Conflict` where the network has
    other weights now.
    """
    network = check_current(session, row)
    version = open_version(session, row.no)
    if extension == AtlasExtension():
        raise Invalid.field("", "names nothing to add: expected layers, units or facets")
    had = version.request["facets"]
    facets = extension.facets or had
    if facets < had:
        raise Invalid.field("/facets", f"must be at least {had}, as the atlas has; got {facets}")
    there = _layers(session, row.no)
    wanted = _wanted(session, network, version, extension, facets, there)
    grown = [_grown(layer, facets, wanted.get(name), extension) for name, layer in there.items()]
    added = [plan for name, plan in wanted.items() if name not in there]
    _check_size(grown, added, candidates_of(version.request))
    grown = [each for each in grown if each.has_more_units or each.facets != each.row.facets]
    return ExtensionPlan(network, version, extension, facets, added, grown)


def carry_out(session: Session, row: AtlasRow, planned: ExtensionPlan) -> None:
    """Write down what an atlas, whose row the caller has locked, is to have from now on."""
    if not planned.added and not planned.grown:
        return  # asked for once more, perhaps since the answer was lost: it is remembered once
    for grown in planned.grown:
        if grown.has_more_units:
            grown.row.expanded = 0
        grown.row.units, grown.row.unit_count = grown.units, grown.unit_count
        grown.row.facets = grown.facets
    last = max((layer.layer_no for layer in _layers(session, row.no).values()), default=-1)
    session.add_all(layer_row(row.no, no, plan) for no, plan in enumerate(planned.added, last + 1))
    planned.version.generator_id = planned.generator
    planned.version.request = _remembered(planned.version.request, planned.asked, planned.facets)
    session.flush()


def check_current(session: Session, row: AtlasRow) -> Network:
    """The network of an atlas that can grow. Raises `Conflict` where it has other weights than the pictures
    of the atlas were made of.
    """
    network = get_network(session, row.network_id)
    if network.spec_sha256 != open_version(session, row.no).network_sha256:
        raise Conflict(
            f"The network {network.id!r} is not the one any more that the atlas {row.id} shows: its weights "
            "or how it is run have changed. What the atlas has stays readable; make a new atlas of the "
            "network as it is now: POST /v1/atlases."
        )
    return network


def _layers(session: Session, atlas_no: int) -> dict[str, AtlasLayerRow]:
    query = sa.select(AtlasLayerRow).where(AtlasLayerRow.atlas_no == atlas_no)
    return {layer.layer: layer for layer in session.scalars(query.order_by(AtlasLayerRow.layer_no))}


def _wanted(
    session: Session,
    network: Network,
    version: AtlasVersionRow,
    extension: AtlasExtension,
    facets: int,
    there: Iterable[str],
) -> Mapping[str, LayerPlan]:
    """By their names, the layers that are asked for; none where facets alone are."""
    if extension.layers is None and extension.units is None:
        return {}
    plans = plan_layers(
        session,
        network,
        layers=[by_name(name) for name in there] if extension.layers is None else extension.layers,
        units=version.request["units"] if extension.units is None else extension.units,
        facets=facets,
        candidates=candidates_of(version.request),
        recipe=RecipeRequest.model_validate(version.request["recipe"]),
        generator=version.request["generator"],
        pinned=version.generator_id,
    )
    return {plan.layer.name: plan for plan in plans}


def _grown(
    row: AtlasLayerRow, facets: int, wanted: LayerPlan | None, extension: AtlasExtension
) -> GrownLayer:
    """A layer with the units that are asked for beside those that it has."""
    if wanted is None or extension.units is None:
        return GrownLayer(row, row.units, row.unit_count, facets)
    count = wanted.layer.units
    units = sorted({*read_units(row.units).of(count), *read_units(wanted.units).of(count)})
    if len(units) == row.unit_count:
        return GrownLayer(row, row.units, row.unit_count, facets)
    words = "all" if len(units) == count else _joined(row.units, wanted.units, units, count)
    return GrownLayer(row, words, len(units), facets)


def _joined(before: str, added: str, units: Sequence[int], count: int) -> str:
    """Words for all of these units. Raises `Invalid` where there are none short enough to be kept."""
    for words in (f"{before},{added}", written(units)):
        with suppress(UnitsError):
            if read_units(words).of(count) == units:
                return words
    raise Invalid.field("/units", "are too many single ones beside those that there are; add ranges, or all")


def _check_size(grown: Sequence[GrownLayer], added: Sequence[LayerPlan], candidates: int) -> None:
    total = sum(layer.unit_count * layer.facets for layer in grown) * candidates
    total += sum(plan.pictures for plan in added)
    if total > MOST_PICTURES:
        raise Invalid.field("", f"makes {total} pictures; an atlas may have {MOST_PICTURES}")


def _remembered(request: Mapping[str, Any], extension: AtlasExtension, facets: int) -> dict[str, Any]:
    """What is kept of all that was asked for."""
    asked = extension.model_dump(mode="json", exclude_none=True)
    return {**request, "facets": facets, "extensions": [*request.get("extensions", []), asked]}
