"""Atlases: all of them, one with its progress and its versions, and what its owner may do with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Response, redirect, request
from sqlalchemy.orm import Session

from api.auth import principal, reader, requires
from api.context import context
from api.http.paths import sheet_path
from api.operations.pagination import next_path
from api.schemas.atlases import Atlas, AtlasLayer, AtlasVersion
from api.web.addresses import ServerAddresses
from api.web.site import blueprint, page
from api.web.strips import Glimpse, of_atlas
from services.access.keys import Principal
from services.access.ownership import may_change
from services.atlases import atlases, changes, expansion, publishing
from services.atlases.atlas_request import AtlasChange, AtlasExtension
from services.atlases.atlases import LATEST
from services.atlases.progress import AtlasView
from services.base.errors import NotFound
from services.base.states import AtlasState, Lane, Visibility

ATLASES_A_PAGE, VERSIONS_SHOWN = 24, 20
_AT_ONCE_SECONDS = 2.0


@dataclass(frozen=True)
class Card:
    """An atlas in the list, with a few of its pictures."""

    atlas: Atlas
    strip: tuple[Glimpse, ...]


@blueprint.get("/atlases")
@requires("read")
def list_of_atlases() -> Response:
    """Atlases, the newest first; those of a `network`."""
    network, cursor = request.args.get("network"), request.args.get("cursor")
    with context().database.session() as session:
        found = atlases.list(session, by=reader(), network=network, cursor=cursor, limit=ATLASES_A_PAGE)
        cards = [Card(Atlas.of(atlas), _strip(session, atlas)) for atlas in found.data]
    return page(
        "atlases/atlases.html",
        section="atlases",
        cards=cards,
        network=network,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )


@blueprint.get("/atlases/<atlas>")
@requires("read")
def atlas(atlas: str) -> Response:
    """An atlas: how far it is, layer by layer, its versions, and what may be done with it."""
    with context().database.session() as session:
        found = atlases.get(session, atlas, by=reader())
        layers = [AtlasLayer.of(atlas, layer) for layer in atlases.layers(session, atlas, by=reader())]
        versions = atlases.versions(session, atlas, by=reader(), limit=VERSIONS_SHOWN)
        strip = _strip(session, found)
    shown = [AtlasVersion.of(atlas, version) for version in versions.data]
    return page(
        "atlases/atlas.html",
        section="atlases",
        atlas=Atlas.of(found),
        layers=layers,
        versions=shown,
        posters={version.number: sheet_path(atlas, version.number, None) for version in shown},
        strip=strip,
        ended=found.ended,
        may_change=may_change(found.owner_key_id, reader()),
        actions=_offered(found),
        card=ServerAddresses().picture(strip[0].digest) if strip else None,
    )


@blueprint.post("/atlases/<atlas>/<action>")
@requires("jobs:write")
def change_atlas(atlas: str, action: str) -> Response:
    """Do what a button of the atlas's page says, and show the page again."""
    act = _ACTIONS.get(action)
    if act is None:
        raise NotFound("action", action, f"There are: {', '.join(_ACTIONS)}.")
    with context().database.session() as session:
        act(session, atlas, principal())
    if action in ("pause", "cancel", "delete"):
        expansion.let_go_at_once(context().database, atlas, seconds=_AT_ONCE_SECONDS)
    context().doorbell.ring(Lane.BULK)
    address = ServerAddresses()
    return _seen(address.page("atlases") if action == "delete" else address.atlas(atlas))


def _pause(session: Session, id: str, by: Principal) -> None:
    changes.pause(session, id, by=by)


def _resume(session: Session, id: str, by: Principal) -> None:
    changes.resume(session, id, by=by)


def _cancel(session: Session, id: str, by: Principal) -> None:
    changes.cancel(session, id, by=by)


def _retry(session: Session, id: str, by: Principal) -> None:
    changes.retry(session, id, by=by)


def _publish(session: Session, id: str, by: Principal) -> None:
    publishing.publish(session, id, by=by)


def _delete(session: Session, id: str, by: Principal) -> None:
    changes.delete(session, id, by=by)


def _open_to_all(session: Session, id: str, by: Principal) -> None:
    changes.change(session, id, AtlasChange(visibility=Visibility.PUBLIC), by=by)


def _close(session: Session, id: str, by: Principal) -> None:
    changes.change(session, id, AtlasChange(visibility=Visibility.PRIVATE), by=by)


def _another_facet(session: Session, id: str, by: Principal) -> None:
    held = max(layer.facets for layer in atlases.layers(session, id, by=by))
    changes.extend(session, id, AtlasExtension(facets=held + 1), by=by)


_ACTIONS: Mapping[str, Callable[[Session, str, Principal], None]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
    "publish": _publish,
    "delete": _delete,
    "open": _open_to_all,
    "close": _close,
    "extend": _another_facet,
}


def _offered(found: AtlasView) -> list[tuple[str, str]]:
    """What makes sense now: pairs of an action and what its button says."""
    offered: list[tuple[str, str]] = []
    if found.state in (AtlasState.PLANNING, AtlasState.BUILDING):
        offered += [("pause", "Pause"), ("cancel", "Cancel")]
    if found.state in (AtlasState.PAUSED, AtlasState.CANCELED) and not found.outdated:
        offered.append(("resume", "Resume"))
    if found.pictures.failed and not found.outdated:
        offered.append(("retry", "Try what failed again"))
    if found.pictures.done and (found.latest is None or not found.ended):
        offered.append(("publish", "Publish what is done"))
    if found.state == AtlasState.COMPLETE and not found.outdated:
        offered.append(("extend", "Another facet of each unit"))
    is_public = found.visibility == Visibility.PUBLIC
    offered.append(("close", "Make it private") if is_public else ("open", "Make it public"))
    return offered


def _strip(session: Session, found: AtlasView) -> tuple[Glimpse, ...]:
    version = atlases.version(session, found.id, LATEST, by=reader())
    return tuple(of_atlas(session, found, version))


def _seen(path: str) -> Response:
    """To the page that shows what came of a form; 303, so that it is fetched by GET."""
    response = redirect(path, 303)
    assert isinstance(response, Response)
    return response
