"""A layer: its units as a grid of pictures, in the order that one asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api.auth import reader, requires
from api.context import context
from api.http import grids
from api.web import choices, grid_view
from api.web.addresses import ServerAddresses
from api.web.grid_view import CELLS_A_PAGE, Looks
from api.web.shown import Shown, rail, shown
from api.web.site import blueprint, page
from services.base.errors import NotFound
from services.catalog.layers import Layer, get_layer
from services.catalog.networks import get_network
from services.grids import orders
from services.grids.cells import cells
from services.grids.kept_orders import Window
from services.grids.orders import By, Kind, Wanted
from services.grids.subjects import Subject
from services.grids.tallies import tally
from services.grids.versions import versions_of
from services.search.neighbours import NotIndexed
from services.sheets import sheets

EAGER = 24
"""Pictures of the first screen, which are not waited for."""


@dataclass(frozen=True)
class _Asked:
    """What the address says beyond the layer and the atlas."""

    by: By | None
    wanted: Wanted
    looks: Looks
    start: int


@blueprint.get("/networks/<network>/layers/<layer>")
@requires("read")
def layer(network: str, layer: str) -> Response:
    """Its grid. Without JavaScript pages of so many cells; with it, `grid.js` scrolls through all of them."""
    address = ServerAddresses()
    asked = _asked()
    with context().database.session() as session:
        described = get_network(session, network)
        what = shown(session, network)
        found = get_layer(session, network, layer, or_former=what.atlas is not None)
        beside = rail(session, address, network, what, current=found.name)
        versions = grid_view.choices_of(versions_of(session, network, by=reader()), what)
        common: dict[str, Any] = {"network": described, "layer": found, "what": what, "rail_layers": beside}
        try:
            subject = _subject(session, network, found, what)
        except NotFound as error:
            get_layer(session, network, layer)  # one that is known by another atlas alone is not there at all
            return page(
                "networks/layer_not_shown.html",
                section="networks",
                why=str(error),
                versions=versions,
                facts=grid_view.facts(described, found),
                **common,
            )
        counted = tally(session, subject)
        wanted = _with_default(session, asked, subject)
        part, problem = _window(session, subject, wanted, asked.start)
        some = cells(session, subject, part.units, facet=wanted.facet)
        sheet = _sheet(session, found, what)
    view = grid_view.GridView(
        address, described, found, what, wanted, asked.looks, part.total, part.start, orders.possible(subject)
    )
    return page(
        "networks/layer.html",
        section="networks",
        card=grid_view.card(address, some),
        facts=grid_view.facts(described, found),
        counted=counted,
        grid=view,
        cells=[view.cell(cell, eager=at < EAGER) for at, cell in enumerate(some)],
        problem=problem,
        versions=versions,
        facets=subject.facets,
        chosen=len(subject.units),
        is_bare=view.is_bare(some),
        can_order=orders.can_order(subject),
        kinds=[kind for kind in Kind if kind != Kind.DEAD or subject.watched is not None],
        sheet=sheet,
        data=_data(view, subject),
        **common,
    )


def _asked() -> _Asked:
    by = choices.chosen("order", By)
    wanted = Wanted(
        facet=choices.number("facet", 15) or 0,
        kind=choices.chosen("state", Kind),
        label=choices.text("label"),
        like=choices.number("like"),
    )
    looks = choices.chosen("density", Looks) or Looks.USUAL
    return _Asked(by, wanted, looks, choices.number("from") or 0)


def _subject(session: Session, network: str, found: Layer, what: Shown) -> Subject:
    if what.atlas is None or what.version is None:
        return grids.subject(session, network, found.name, None, None)
    return grids.subject(session, network, found.name, what.atlas.id, str(what.version.number))


def _with_default(session: Session, asked: _Asked, subject: Subject) -> Wanted:
    facet = min(asked.wanted.facet, subject.facets - 1)
    by = asked.by or grids.default_order(session, subject, facet)
    return Wanted(by, facet, asked.wanted.kind, asked.wanted.label, asked.wanted.like)


def _window(session: Session, subject: Subject, wanted: Wanted, start: int) -> tuple[Window, str | None]:
    """The units of the page; none, and why, where what was asked for is not there."""
    try:
        return grids.window_of(session, subject, wanted, start, CELLS_A_PAGE), None
    except (NotFound, NotIndexed) as error:
        return Window((), 0, 0), str(error)


def _sheet(session: Session, found: Layer, what: Shown) -> str | None:
    """The page of the layer's sheet, if there is one."""
    if what.atlas is None or what.version is None:
        return None
    id, number = what.atlas.id, str(what.version.number)
    try:
        sheet = sheets.find(session, id, number, found.name, by=reader(), planning=False)
    except NotFound:
        return None
    if sheet.sheet is None:
        return None
    return ServerAddresses().atlas_sheet(id, number, found.name)


def _data(view: grid_view.GridView, subject: Subject) -> Mapping[str, Any]:
    """What the script reads: see `static/js/grid.js`."""
    wanted = view.wanted
    atlas = None if subject.place is None else subject.place.atlas
    version = None if subject.place is None else subject.place.number
    shows: dict[str, Any] = {"atlas": atlas, "version": version, "facet": wanted.facet or None}
    grid = ("networks", view.network.id, "layers", view.layer.name, "grid")
    filters = {"state": wanted.kind, "label": wanted.label, "like": wanted.like}
    is_all = wanted.is_plain and len(subject.units) == view.layer.units
    return {
        "total": view.total,
        "start": view.start,
        "order": None if is_all else view.address.api(*grid, "order", by=wanted.by, **filters, **shows),
        "cells": view.address.api(*grid, "cells", **shows),
        "words": view.words,
        "by": wanted.by,
    }
