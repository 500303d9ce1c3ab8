"""A unit: `/networks/{network}/layers/{layer}/units/{unit}`, and the same small, for the pages of others."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from flask import Response, g, request
from sqlalchemy.orm import Session

from api.auth import reader, requires
from api.context import context
from api.web import shown as shown_of
from api.web.addresses import Addresses, Parameter, ServerAddresses
from api.web.captions import captions_of
from api.web.pages.units import choosing, computing, figures, told, traces
from api.web.pages.units.choosing import Chosen, Wanted
from api.web.pages.units.copying import Copies
from api.web.shown import Shown
from api.web.site import blueprint, page, see
from api.web.small_pictures import is_small, small_among
from services.atlases import entries
from services.base.errors import FieldError, Invalid, NotFound
from services.base.states import State
from services.catalog.layers import Unit, get_layer, get_unit
from services.catalog.networks import get_network
from services.jobs import jobs
from services.pictures.visualizations import Visualization
from services.search import neighbours
from services.search.neighbours import Neighbours, NotIndexed, Within

NEIGHBOURS, OTHERS = 12, 12
_COMING = (State.QUEUED, State.LEASED)
_TOP = "#top"
"""Where a page begins. Without it the browser keeps the fragment of the form, which is further down."""
_PATH = "/networks/<network>/layers/<layer>/units/<int:unit>"
_WITHIN = ((Within.LAYER, "this layer"), (Within.NETWORK, "this network"), (Within.ALL, "all networks"))


@blueprint.get(_PATH)
@requires("read")
def unit_page(network: str, layer: str, unit: int) -> Response:
    """A unit with all that is known of it."""
    if request.args.get("near"):
        return _to_the_nearest(network, layer, unit)
    return _page(network, layer, unit)


@blueprint.post(_PATH)
@requires("jobs:write")
def compute_unit(network: str, layer: str, unit: int) -> Response:
    """Have its picture computed as the form says, then lead back to the unit: the picture, or what becomes of
    it, stands there beside the one that was shown, alone where there was none."""
    address = ServerAddresses()
    try:
        with context().database.session() as session:
            is_former_shown = _is_former_shown(shown_of.shown(session, network), Wanted.asked())
            found = get_unit(session, network, layer, unit, or_former=is_former_shown)
            submission = computing.compute(session, found)
            digest = jobs.items(session, submission.job.id, limit=1, by=reader()).data[0].digest
    except Invalid as error:
        return _page(network, layer, unit, errors=error.errors)
    shows: dict[str, Parameter] = {}
    if not submission.job.ended:
        context().doorbell.ring(submission.job.lane)
        shows["job"] = submission.job.id
    if found.pictures:
        shows |= {**_kept("atlas", "facet", "picture"), "beside": digest}
    else:
        shows |= {**_kept("atlas"), "picture": digest}
    return see(address.unit(network, found.layer, unit, **shows) + _TOP)


def _page(network: str, layer: str, unit: int, errors: Sequence[FieldError] = ()) -> Response:
    address: Addresses = ServerAddresses()
    wanted = Wanted.asked()
    with context().database.session() as session:
        described, what = get_network(session, network), shown_of.shown(session, network)
        is_former_shown = _is_former_shown(what, wanted)
        found = get_unit(session, network, layer, unit, or_former=is_former_shown)
        of_layer = get_layer(session, network, layer, or_former=is_former_shown)
        chosen = choosing.choose(session, what, found, of_layer.units, wanted)
        if request.args.get("embed"):
            return _embedded(address, what, found, chosen)
        known = figures.exemplars_of(session, found)
        large = chosen.large
        rail = shown_of.rail(session, address, network, what, of_layer.name)
        model = {
            "unit": found,
            "layer": of_layer,
            "what": what,
            "rail": rail,
            "above": _layer_beside(rail, -1),
            "below": _layer_beside(rail, 1),
            "chosen": chosen,
            "exemplars": known,
            "tiles": figures.tiles_of(session, chosen, of_layer, described.own_size),
            "own_size": described.own_size,
            "crops_are_small": is_small(of_layer.receptive_field),
            "labels": figures.labels_of(large, described.labels),
            "beside_labels": figures.labels_of(chosen.beside, described.labels),
            "neighbours": (like := _neighbours(session, large)),
            "captions": captions_of(session, like.data if isinstance(like, Neighbours) else ()),
            "small": small_among(session, _pictures_beside(chosen, like)),
            "form": computing.form(session, found, large, errors),
        }
    trace = traces.trace_of(large) if large is not None else ()
    return page(
        "units/unit.html",
        section="networks",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        **model,
        picture=figures.picture_of(address, large),
        beside=figures.picture_of(address, chosen.beside),
        others=chosen.others[:OTHERS],
        trace=trace,
        within=_within(),
        scopes=_WITHIN,
        told=told,
        kept=_kept("atlas", "facet", "picture", "beside", "within"),
        copies=Copies(address, request.host_url.rstrip("/"), what, found, chosen),
        card=address.picture(large.digest, 512, "jpg") if large is not None and _is_done(large) else None,
        is_coming=any(each is not None and each.state in _COMING for each in (large, chosen.beside)),
        job=request.args.get("job"),
    )


def _is_former_shown(what: Shown, wanted: Wanted) -> bool:
    """Whether layers are shown that the network has no more, or that no inspection has found here yet: those
    of an atlas, and of a picture that the address names, whose link lasts."""
    return what.atlas is not None or wanted.picture is not None


def _embedded(address: Addresses, what: Shown, unit: Unit, chosen: Chosen) -> Response:
    """The picture with its name and a link, for a frame on a page of somebody else: nothing on it acts."""
    g.may_be_framed = True
    large = chosen.large if _is_done(chosen.large) else None
    copies = Copies(address, request.host_url.rstrip("/"), what, unit, chosen)
    return page("units/embedded.html", unit=unit, picture=figures.picture_of(address, large), copies=copies)


def _to_the_nearest(network: str, layer: str, unit: int) -> Response:
    """Lead to this unit where the layer, and what is shown of it, has it, else to the nearest one."""
    with context().database.session() as session:
        what = shown_of.shown(session, network)
        of_layer = get_layer(session, network, layer, or_former=what.atlas is not None)
        nearest = min(unit, of_layer.units - 1)
        if what.atlas is not None and what.version is not None:
            try:
                units = entries.units_of(
                    session, what.atlas.id, str(what.version.number), of_layer.name, by=reader()
                )
            except NotFound:
                pass
            else:
                following = units.read(session, nearest - 1, 1)
                before, _ = units.beside(session, nearest)
                nearest = following[0].unit if following else nearest if before is None else before
    return see(ServerAddresses().unit(network, of_layer.name, nearest, **_kept("atlas", "within")))


def _kept(*names: str) -> dict[str, Parameter]:
    """Those parameters of the request that links on the page keep."""
    return {name: request.args[name] for name in names if request.args.get(name)}


def _is_done(found: Visualization | None) -> bool:
    return found is not None and found.state == State.DONE


def _within() -> Within:
    asked = request.args.get("within")
    return Within(asked) if asked in tuple(Within) else Within.NETWORK


def _neighbours(session: Session, large: Visualization | None) -> Neighbours | str | None:
    """Units with pictures like it, or why they are not known; None without a picture."""
    if large is None or large.state != State.DONE:
        return None
    objective = large.objective
    try:
        return neighbours.neighbours(
            session,
            large.spec.network,
            objective.layer,
            objective.unit,
            within=_within(),
            digest=large.digest,
            limit=NEIGHBOURS,
        )
    except NotIndexed as error:
        return str(error)


def _pictures_beside(chosen: Chosen, like: Neighbours | str | None) -> Sequence[str]:
    """Digests of the pictures of other recipes and other units that the page shows."""
    alike = [found.digest for found in like.data] if isinstance(like, Neighbours) else []
    return [*(found.digest for found in chosen.others[:OTHERS]), *alike]


def _layer_beside(rail: Sequence[Any], step: int) -> str | None:
    """The layer so many steps from the current one in the rail."""
    for index, layer in enumerate(rail):
        if layer.is_current:
            beside = index + step
            name: str = rail[beside].name if 0 <= beside < len(rail) else ""
            return name or None
    return None
