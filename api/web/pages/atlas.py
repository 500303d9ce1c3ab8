"""An atlas: how far it is, its layers and versions, and what its owner may do with it."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import may_submit, principal, reader, requires
from api.context import context
from api.http import waiting
from api.schemas.atlases import Atlas, AtlasLayer, AtlasVersion
from api.web import choices, forms
from api.web.addresses import ServerAddresses
from api.web.captions import classes_of_pictures
from api.web.pages.compare import choices_of
from api.web.site import blueprint, page, see
from api.web.small_pictures import small_among
from api.web.strips import strips_of_atlases
from services.access.keys import Principal
from services.access.ownership import may_change
from services.atlases import atlases, changes, publishing
from services.atlases.atlas_request import MOST_FACETS, AtlasChange, AtlasExtension
from services.atlases.building import steps
from services.atlases.progress import AtlasView
from services.base.errors import Conflict, FieldError, Invalid, NotFound
from services.base.states import AtlasState, Lane, Visibility
from services.catalog.layer_selection import ALL
from services.exports import exports

VERSIONS_SHOWN, STRIP = 20, 12
LAYERS_SHOWN, LAYERS_WATCHED = 150, 80
"""Unless all are asked for: the page stays light. Rows of an atlas that is being built are heavier, by what
moves in them, and so is the page, by what moves it."""
_LET_GO = ("pause", "cancel", "delete")
_FORMS = {"extend": ("layers", "units", "facets"), "rename": ("name",)}
"""Buttons that stand in a form, with its fields."""


@blueprint.get("/atlases/<atlas>")
@requires("read")
def atlas_page(atlas: str) -> Response:
    """An atlas: how far it is, layer by layer, its versions, and what may be done with it."""
    return _page(atlas)


@blueprint.post("/atlases/<atlas>/<action>")
@requires("jobs:write")
def change_atlas(atlas: str, action: str) -> Response:
    """Do what a button of the atlas's page says, and show the page again: with what was wrong, where a form
    was refused."""
    act = _ACTIONS.get(action)
    if act is None:
        raise NotFound("action", action, f"There are: {', '.join(_ACTIONS)}.")
    try:
        with context().database.session() as session:
            act(session, atlas, principal())
    except (Invalid, Conflict) as error:
        if action not in _FORMS:
            raise
        wrong = error.errors if isinstance(error, Invalid) else (FieldError("", str(error)),)
        return _page(atlas, refused=action, errors=wrong)
    if action in _LET_GO:
        steps.let_go_at_once(context().database, atlas, seconds=waiting.AT_ONCE_SECONDS)
    if action == "publish":
        publishing.publish_at_once(context().database, atlas, seconds=waiting.AT_ONCE_SECONDS)
    context().doorbell.ring(Lane.BULK)
    address = ServerAddresses()
    return see(address.page("atlases") if action == "delete" else address.atlas(atlas))


def _page(id: str, refused: str | None = None, errors: tuple[FieldError, ...] = ()) -> Response:
    with context().database.session() as session:
        found = atlases.get(session, id, by=reader())
        layers = [AtlasLayer.of(id, layer) for layer in atlases.layers(session, id, by=reader())]
        versions = atlases.versions(session, id, by=reader(), limit=VERSIONS_SHOWN)
        sizes = exports.sizes(session, id)
        strip = strips_of_atlases(session, [found], STRIP)[0]
        labels = classes_of_pictures(
            session, [(found.network, each.layer, each.unit, each.digest) for each in strip]
        )
        small = small_among(session, [glimpse.digest for glimpse in strip])
        published = next((version for version in versions.data if version.published_at), None)
        has_news = publishing.may_have_news(session, found, published)
        # Once all of it is published the open version adds nothing to the newest one.
        has_open = published is None or has_news or not found.ended
        may_compare = len(choices_of(session, limit=2)) > 1
    most = LAYERS_SHOWN if found.ended else LAYERS_WATCHED
    listed = layers if choices.word("layers", (ALL,)) else layers[:most]
    shown = [AtlasVersion.of(id, version) for version in versions.data if version.published_at or has_open]
    latest = found.latest or found.open.number
    facets = max((layer.facets for layer in layers), default=1)
    usual = {"layers": "", "units": "", "facets": str(facets), "name": found.name}
    sent = {name: request.form.get(name, "") for name in _FORMS.get(refused or "", ())}
    return page(
        "atlases/atlas.html",
        section="atlases",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK,
        atlas=Atlas.of(found),
        layers=listed,
        more=len(listed) < len(layers),
        last=layers[-1].layer,
        versions=shown,
        has_open=has_open,
        may_compare=may_compare,
        exports=sizes,
        sheets={
            layer.layer: ServerAddresses().atlas_sheet(id, latest, layer.layer)
            for layer in listed
            if layer.pictures.done
        },
        strip=strip,
        small=small,
        labels=labels,
        strip_length=STRIP,
        ended=found.ended,
        may_change=may_submit(reader()) and may_change(found.owner_key_id, reader()),
        may_extend=not found.outdated,
        actions=_offered(found, has_news=has_news),
        card=ServerAddresses().picture(strip[0].digest) if strip else None,
        values={**usual, **sent},
        facets=facets,
        most_facets=MOST_FACETS,
        refused=refused,
        errors=_by_field(refused, errors),
    )


def _by_field(refused: str | None, errors: tuple[FieldError, ...]) -> dict[str, str]:
    """By the name of a field; under the empty name what concerns the whole form."""
    fields = _FORMS.get(refused or "", ())
    named: dict[str, str] = {}
    for error in errors:
        first = error.pointer.strip("/").partition("/")[0]
        named[first if first in fields else ""] = error.detail
    return named


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


def _rename(session: Session, id: str, by: Principal) -> None:
    changes.change(session, id, forms.read(AtlasChange, {"name": request.form.get("name", "")}), by=by)


def _extend(session: Session, id: str, by: Principal) -> None:
    sent = {name: request.form.get(name, "").strip() for name in _FORMS["extend"]}
    asked: dict[str, object] = {name: text for name, text in sent.items() if text}
    if sent["facets"]:
        asked["facets"] = forms.whole(sent["facets"])
        # The field holds what the atlas has: as it stands it asks for nothing.
        if asked["facets"] == max(layer.facets for layer in atlases.layers(session, id, by=by)):
            del asked["facets"]
    changes.extend(session, id, forms.read(AtlasExtension, asked), by=by, room=context().store_room())


_ACTIONS: Mapping[str, Callable[[Session, str, Principal], None]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
    "publish": _publish,
    "extend": _extend,
    "rename": _rename,
    "open": _open_to_all,
    "close": _close,
    "delete": _delete,
}


def _offered(found: AtlasView, *, has_news: bool) -> list[tuple[str, str]]:
    """What makes sense now: pairs of an action and what its button says."""
    offered: list[tuple[str, str]] = []
    if found.state in (AtlasState.PLANNING, AtlasState.BUILDING):
        offered += [("pause", "Pause"), ("cancel", "Cancel")]
    if found.state in (AtlasState.PAUSED, AtlasState.CANCELED) and not found.outdated:
        offered.append(("resume", "Resume"))
    is_being_built = found.state not in (AtlasState.PAUSED, AtlasState.CANCELED)
    if found.pictures.failed and is_being_built and not found.outdated:
        offered.append(("retry", f"Try {found.pictures.failed} again"))
    if has_news and not found.open.publishing:
        offered.append(("publish", "Publish" if found.ended else "Publish what is done"))
    is_public = found.visibility == Visibility.PUBLIC
    offered.append(("close", "Make it private") if is_public else ("open", "Make it public"))
    return offered
