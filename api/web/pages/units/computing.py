"""Having a picture of a unit computed with other settings: the form, made of the technique's JSON Schema,
and the job that it submits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import request
from sqlalchemy.orm import Session

from api.auth import may_submit, principal, reader
from api.context import context
from api.schemas.techniques import Technique
from api.web import forms
from imago_engine.techniques import Need, all_techniques
from imago_engine.techniques.automatic import WITH_GENERATOR
from services.base.errors import Conflict, FieldError, Invalid, NotFound
from services.catalog.generators import get_generator, list_generators
from services.catalog.layers import Unit
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.jobs.submission import Submission, submit
from services.pictures.visualizations import Visualization

PREFIX = "parameters."
"""Of the names of fields that are the technique's parameters."""
_FIRST = ("steps", "input_size")
_AT_RECIPE, _AT_SEED, _AT_GENERATOR = "/recipe/parameters/", "/seeds", "/generator"


@dataclass(frozen=True)
class ComputeForm:
    """The form. `first` are the fields that are seen at once; `generators` are to be chosen from, none where
    the technique needs none. `problems` are what was wrong with no field of it."""

    technique: str
    description: str
    techniques: Sequence[str]
    seed: object
    seed_error: str | None
    generator: str | None
    generators: Sequence[str]
    generator_error: str | None
    first: Sequence[forms.Field]
    more: Sequence[forms.Field]
    problems: Sequence[str]
    command: str
    is_allowed: bool

    @property
    def is_wrong(self) -> bool:
        """Whether it was sent, and refused."""
        fields = (*self.first, *self.more)
        return bool(
            self.problems or self.seed_error or self.generator_error or any(field.error for field in fields)
        )

    @property
    def has_wrong_more(self) -> bool:
        """Whether something is wrong with a field that is not seen at once."""
        return any(field.error for field in self.more)


def form(
    session: Session, unit: Unit, large: Visualization | None, errors: Sequence[FieldError] = ()
) -> ComputeForm:
    """The form as this request has it: filled with what was sent, else as the large picture was made, else as
    is recommended. Raises `NotFound` for a technique that there is not."""
    sent = request.form
    id = sent.get("technique") or request.args.get("technique")
    if id is None:
        id = large.spec.technique if large and large.spec.technique in all_techniques() else WITH_GENERATOR
    technique = all_techniques().get(id)
    if technique is None:
        raise NotFound("technique", id, f"There are: {', '.join(all_techniques())}.")
    generators: Sequence[str] = ()
    generator = None
    if Need.GENERATOR in technique.needs:
        generators = [found.id for found in list_generators(session, limit=100).data if found.is_here]
        wanted = sent.get("generator") or (large.generator if large else None)
        generator = wanted if wanted in generators else next(iter(generators), None)
    try:
        known = get_generator(session, generator) if generator else None
    except NotFound:
        known = None
    shown = Technique.of(technique, known)
    values = dict(shown.values)
    if large is not None and large.spec.technique == id:
        values |= large.spec.parameters
    wrong = _by_field(errors)
    fields = {
        name: forms.Field(
            name,
            schema,
            sent.get(PREFIX + name, values.get(name)) if sent else values.get(name),
            wrong.pop(_AT_RECIPE + name, None),
        )
        for name, schema in shown.parameters["properties"].items()
    }
    seed = sent.get("seed") or (large.spec.seed if large else 0)
    seed_error = next((wrong.pop(where) for where in list(wrong) if where.startswith(_AT_SEED)), None)
    generator_error = wrong.pop(_AT_GENERATOR, None)
    return ComputeForm(
        id,
        shown.description,
        list(all_techniques()),
        seed,
        seed_error,
        generator,
        generators,
        generator_error,
        [fields[name] for name in _FIRST if name in fields],
        [field for name, field in fields.items() if name not in _FIRST],
        # A field that is not seen says nothing of itself.
        [*wrong.values(), *([generator_error] if generator_error and len(generators) < 2 else [])],
        f"imago submit {unit.network}/{unit.layer}/{unit.unit} --technique {id} --steps "
        f"{values.get('steps')} --seed {seed} --watch",
        may_submit(reader()),
    )


def compute(session: Session, unit: Unit) -> Submission:
    """Submit what the form asks for, as `POST /v1/jobs` would. Raises `Invalid` for what is wrong in it."""
    body = _body(unit)
    asked = forms.read(JobRequest, body)
    limits = Limits(max_units_per_job=context().settings.max_units_per_job)
    try:
        return submit(session, asked, owner=principal().key_id, limits=limits)
    except Conflict as error:
        raise Invalid.field("", str(error)) from None


def _body(unit: Unit) -> dict[str, Any]:
    """The form as the body of `POST /v1/jobs`. What is no number stays text, to be refused by its field."""
    sent = request.form
    id = sent.get("technique", WITH_GENERATOR)
    technique = all_techniques().get(id)
    properties = technique.Parameters.model_json_schema()["properties"] if technique else {}
    parameters = {
        name: typed
        for name, schema in properties.items()
        if (typed := forms.typed(schema, sent.get(PREFIX + name))) is not None
    }
    return {
        "network": unit.network,
        "targets": [{"layer": unit.layer, "units": [unit.unit]}],
        "generator": sent.get("generator") or None,
        "recipe": {"technique": id, "parameters": parameters},
        "seeds": [forms.typed({"type": "integer"}, sent.get("seed")) or 0],
    }


def _by_field(errors: Sequence[FieldError]) -> dict[str, str]:
    return {error.pointer: error.detail for error in errors}
