"""Build an atlas from a form: what it would take first, then the atlas."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import may_submit, principal, reader, requires
from api.context import context
from api.schemas.atlas_estimates import AtlasEstimate
from api.web import forms
from api.web.addresses import ServerAddresses
from api.web.network_choice import network_choice
from api.web.site import blueprint, page, see
from imago_engine.candidates import MOST_CANDIDATES
from imago_engine.techniques import all_techniques
from services.access.fingerprints import as_sent, fingerprint
from services.atlases import atlas_estimates, creation
from services.atlases.atlas_request import MOST_FACETS, AtlasRequest
from services.base.errors import Conflict, FieldError, Invalid
from services.base.states import Lane
from services.catalog.generators import list_generators
from services.catalog.layer_selection import BLOCKS, list_layers
from services.catalog.layers import Layer

_SETTLED = ("layers", "units", "facets", "candidates", "technique", "generator")
_USUAL: Mapping[str, str] = {
    "layers": "blocks",
    "units": "all",
    "facets": "1",
    "candidates": "1",
    "technique": "auto",
    "visibility": "private",
}
_LATER = {"facets": "1", "candidates": "1", "technique": "auto", "generator": ""}
"""Fields that are not seen at once, and what stands in them."""
_FIELDS = ("network", "name", "visibility", *_SETTLED)
_LISTED = 200


@dataclass
class Form:
    """What stands in the fields, what is wrong with them, and what it would take."""

    values: Mapping[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    """By the name of a field; under the empty name what concerns all of it."""
    estimate: AtlasEstimate | None = None

    @property
    def has_more(self) -> bool:
        """Whether something is wrong with, or set in, a field that is not seen at once."""
        return any(
            name in self.errors or self.values.get(name, usual) != usual for name, usual in _LATER.items()
        )


@blueprint.get("/atlases/new")
@requires("read")
def atlas_form() -> Response:
    """The form. With `estimate`, also what the atlas that it describes would take."""
    form = Form({**_USUAL, **{name: request.args[name] for name in _FIELDS if name in request.args}})
    with context().database.session() as session:
        if "estimate" in request.args:
            _estimate(session, form)
        return _shown(session, form)


@blueprint.post("/atlases")
@requires("jobs:write")
def build_atlas() -> Response:
    """Make the atlas and show it, or show the form again with what is wrong."""
    form = Form({name: request.form.get(name, "") for name in _FIELDS})
    made = _made(form)
    if made is None:
        with context().database.session() as session:
            return _shown(session, form, status=422)
    context().doorbell.ring(Lane.BULK)
    return see(ServerAddresses().atlas(made))


def _made(form: Form) -> str | None:
    """The id of the atlas that the fields describe; None, with the errors noted, where it cannot be made."""
    try:
        asked = _read(form.values)
        with context().database.session() as session:
            atlas_estimates.check_room_for(session, asked, context().store_room())
            owner = principal().key_id
            row, _ = creation.create(session, asked, owner=owner, idempotency_key=_once(asked))
            return row.id
    except (Invalid, Conflict) as error:
        with context().database.session() as session:
            _note_all(session, form, error)
        return None


def _once(asked: AtlasRequest) -> str | None:
    """By which this form, sent twice, makes one atlas; with other fields it makes another."""
    once = request.args.get("once")
    return f"page {once:.64} {fingerprint(as_sent(asked))}" if once else None


def _read(values: Mapping[str, str]) -> AtlasRequest:
    """The request that the fields describe. Raises `Invalid`."""
    return forms.read(AtlasRequest, _body(values))


def _body(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "network": values.get("network", ""),
        "name": values.get("name") or None,
        "layers": values.get("layers", ""),
        "units": values.get("units", ""),
        "facets": forms.whole(values.get("facets", "").strip()),
        "candidates": forms.whole((values.get("candidates") or "1").strip()),
        "recipe": {"technique": values.get("technique") or "auto"},
        "generator": values.get("generator") or None,
        "visibility": values.get("visibility", ""),
    }


def _estimate(session: Session, form: Form) -> None:
    try:
        asked, owner = _read(form.values), reader().key_id or None
        found = atlas_estimates.estimate(session, asked, owner=owner, room=context().store_room())
    except (Invalid, Conflict) as error:
        _note_all(session, form, error)
    else:
        form.estimate = AtlasEstimate.of(found)


def _note_all(session: Session, form: Form, error: Invalid | Conflict) -> None:
    """This, and what else is wrong: what cannot be read hides what could be said of the other fields."""
    _note(form, error)
    if isinstance(error, Invalid):
        with suppress(Invalid):
            rest = forms.read(AtlasRequest, forms.without(_body(form.values), error.errors))
            try:
                creation.plan_atlas(session, rest)
            except (Invalid, Conflict) as further:
                _note(form, further)


def _note(form: Form, error: Invalid | Conflict) -> None:
    """Beside the field that it concerns, or above all of them."""
    errors = error.errors if isinstance(error, Invalid) else (FieldError("", str(error)),)
    for one in errors:
        parts = [part for part in one.pointer.split("/") if part in _FIELDS]
        form.errors.setdefault(parts[-1] if parts else "", one.detail)


def _shown(session: Session, form: Form, status: int = 200) -> Response:
    choice = network_choice(session, form.values.get("network"))
    form.values = {**form.values, "network": choice.chosen}
    if choice.error:
        form.errors.setdefault("network", choice.error)
    return page(
        "atlases/new.html",
        section="atlases",
        status=status,
        form=form,
        networks=choice.networks,
        layers=() if choice.error or not choice.networks else _layers(session, choice.chosen),
        generators=[generator.id for generator in list_generators(session, limit=_LISTED).data],
        techniques=["auto", *all_techniques()],
        most_facets=MOST_FACETS,
        most_candidates=MOST_CANDIDATES,
        may_build=may_submit(reader()),
        once=secrets.token_urlsafe(16),
    )


def _layers(session: Session, network: str) -> Sequence[Layer]:
    """Those that people choose from."""
    try:
        return list_layers(session, network, BLOCKS, limit=_LISTED).data
    except Invalid:
        return ()  # a network of which no layer is known as a block
