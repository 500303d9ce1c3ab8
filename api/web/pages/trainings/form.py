"""Ask for a training from a form, whose fields are those of `POST /v1/generators` as its schema has them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import may_submit, principal, reader, requires
from api.context import context
from api.schemas.trainings import TrainGenerator
from api.web import forms
from api.web.addresses import ServerAddresses
from api.web.network_choice import network_choice
from api.web.pages.trainings import layer_choice
from api.web.site import blueprint, page, see
from imago_engine.trainings import (
    CORRUPT_SHARE,
    DEFAULT_ENCODER,
    DEFAULT_PRESET,
    HELD_OUT,
    MINIMUM,
    PRESETS,
    EncoderRequest,
    Preset,
)
from services.base.errors import FieldError, Invalid, NotFound
from services.base.states import Lane
from services.catalog.generators import list_generators
from services.queue import workers
from services.trainings import submission
from services.trainings.request import TrainingRequest

OPTIONS, ENCODER = "options.", "encoder."
"""Before the names of fields that are the preset's alone, and the encoder's."""
_TRAINING = "/training/"
_FIRST = ("pictures", "image_size")
_OWN = ("name", "sources", "preset", f"{ENCODER}network", f"{ENCODER}layer", "warm_start")
"""Fields that the template has controls of its own for."""
_TITLES = {
    f"{ENCODER}input_size": "Input size of the network",
    "pictures": "Pictures to see",
    "batch": "Pictures a step",
    "minimum": "Fewest pictures",
    "held_out": "Held-out pictures",
}
_LISTED = 200
_DUMMY = "x"
"""What stands for a field that no request is without, while the others are looked at."""
_DATA = {"held_out": HELD_OUT, "minimum": MINIMUM, "corrupt_share": CORRUPT_SHARE}


@dataclass
class Form:
    """What was sent, and what was wrong with it: by field, and under the empty name what is about none. Until
    `is_sent` stands in the other fields what is usual."""

    preset: Preset
    sent: Mapping[str, str] = field(default_factory=dict)
    is_sent: bool = False
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each field that is none of the template's own, by its name."""
        asked = TrainingRequest.model_json_schema()["properties"]
        nested = EncoderRequest.model_json_schema()["properties"]
        options = self.preset.options.model_json_schema()["properties"]
        found = {
            **{ENCODER + name: schema for name, schema in nested.items()},
            **{name: schema for name, schema in asked.items() if name not in ("encoder", "options")},
            **{OPTIONS + name: schema for name, schema in options.items()},
        }
        sizes = {"type": "integer", "enum": list(self.preset.image_sizes)}
        found["image_size"] = {**found["image_size"], "anyOf": [sizes]}
        return {
            name: {**schema, "title": _TITLES.get(name) or _said(name)}
            for name, schema in found.items()
            if name not in _OWN
        }

    @property
    def usual(self) -> Mapping[str, Any]:
        """What a training of the preset has where nothing is chosen."""
        defaults = dict(self.preset.defaults)
        return {f"{ENCODER}input_size": defaults.pop("input_size"), **_DATA, **defaults}

    @property
    def fields(self) -> Mapping[str, forms.Field]:
        """All that `properties` tells of."""
        return {
            name: forms.Field(
                name,
                schema,
                self.sent.get(name)
                if self.is_sent or name in self.sent
                else _as_text(self.usual.get(name, schema.get("default"))),
                self.errors.get(name),
            )
            for name, schema in self.properties.items()
        }

    @property
    def body(self) -> dict[str, Any]:
        """What was sent, as the body of `POST /v1/generators`. A field left empty is left out."""
        typed = {
            name: value
            for name, schema in self.properties.items()
            if (value := forms.typed(schema, self.sent.get(name))) is not None
        }
        encoder = {
            "network": self.sent.get(f"{ENCODER}network") or None,
            "layer": self.sent.get(f"{ENCODER}layer") or None,
            **_within(typed, ENCODER),
        }
        training = {
            "sources": [line.strip() for line in self.sent.get("sources", "").splitlines() if line.strip()],
            "preset": self.preset.id,
            "encoder": {name: value for name, value in encoder.items() if value is not None},
            "options": _within(typed, OPTIONS),
            "warm_start": self.sent.get("warm_start") or None,
            **{name: value for name, value in typed.items() if "." not in name},
        }
        return {"name": self.sent.get("name", "").strip(), "training": training}

    def note(self, errors: Sequence[FieldError]) -> None:
        """Beside the field that each concerns, or above all of them."""
        known = {*self.properties, *_OWN}
        for error in errors:
            path = error.pointer.removeprefix(_TRAINING).strip("/").replace("/", ".")
            while path and path not in known:
                path = path.rpartition(".")[0]
            self.errors.setdefault(path, error.detail)


@blueprint.get("/trainings/new")
@requires("read")
def training_form() -> Response:
    """The form, with what the address names and, where it names nothing, what the `preset` has."""
    id = request.args.get("preset", DEFAULT_PRESET)
    if id not in PRESETS:
        raise NotFound("preset", id, f"There are: {', '.join(PRESETS)}.")
    with context().database.session() as session:
        return _shown(session, Form(PRESETS[id], request.args.to_dict()))


@blueprint.post("/trainings")
@requires("jobs:write")
def ask_for_training() -> Response:
    """Submit the training and show it, or show the form again with what is wrong."""
    preset = PRESETS.get(request.form.get("preset", ""), PRESETS[DEFAULT_PRESET])
    form = Form(preset, request.form.to_dict(), is_sent=True)
    with context().database.session() as session:
        id = _submitted(session, form)
        if id is None:
            return _shown(session, form, status=422)
    context().doorbell.ring(Lane.BULK)
    return see(ServerAddresses().training(id))


def _submitted(session: Session, form: Form) -> str | None:
    """The id of the training that the form asks for; None, with everything noted that is wrong with it,
    where there can be none."""
    data_root = context().settings.data_root
    try:
        asked = forms.read(TrainGenerator, form.body)
        owner = principal().key_id
        return submission.submit(session, asked.name, asked.training, owner=owner, data_root=data_root).id
    except Invalid as error:
        form.note(error.errors)
        wrong = error.errors
    # What cannot be read hides what could be said of the other fields: they are looked at without it.
    with suppress(Invalid):
        rest = forms.read(TrainGenerator, _complete(forms.without(form.body, wrong)))
        try:
            submission.check(session, rest.name, rest.training, data_root)
        except Invalid as error:
            form.note(error.errors)
    return None


def _complete(body: dict[str, Any]) -> dict[str, Any]:
    """The body with something in each field that no request is without."""
    return {"name": _DUMMY, **body, "training": {"sources": [_DUMMY], **body["training"]}}


def _shown(session: Session, form: Form, status: int = 200) -> Response:
    address, fields = ServerAddresses(), form.fields
    choice = network_choice(session, form.sent.get(f"{ENCODER}network"), usual=DEFAULT_ENCODER)
    if choice.error:
        form.errors.setdefault(f"{ENCODER}network", choice.error)
    own = {*_FIRST, *(name for name in fields if name.startswith(OPTIONS))}
    return page(
        "trainings/new.html",
        section="generators",
        status=status,
        form=form,
        presets=[
            (
                id,
                address.page("trainings/new", preset=None if id == DEFAULT_PRESET else id),
                id == form.preset.id,
            )
            for id in PRESETS
        ],
        first=[fields[name] for name in _FIRST],
        options=[each for name, each in fields.items() if name.startswith(OPTIONS)],
        more=[each for name, each in fields.items() if name not in own],
        networks=choice.networks,
        network=choice.chosen,
        layers=layer_choice.of(session, choice.chosen, form.sent.get(f"{ENCODER}layer", ""), form.is_sent)
        if choice.networks
        else None,
        generators=[found.id for found in list_generators(session, limit=_LISTED).data if found.is_here],
        trainers=workers.trainers(session),
        may_train=may_submit(reader()),
    )


def _within(typed: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in typed.items() if name.startswith(prefix)}


def _said(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ").capitalize()


def _as_text(value: object) -> object:
    """A list as it is written in a field."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value
