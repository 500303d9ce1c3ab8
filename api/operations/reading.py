"""The parts of a request as the models of an operation; what does not fit is a problem by field."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import request
from pydantic import BaseModel, ValidationError

from api.http import request_body
from api.problems.field_errors import Part, explain
from api.problems.problems import fields_problem
from services.base.errors import FieldError, pointer

PARTS: tuple[Part, ...] = ("path", "query", "header", "body")
"""In the order in which they are read."""


def read(models: Mapping[Part, type[BaseModel]], segments: Mapping[str, str]) -> dict[str, BaseModel]:
    """Each part as its model. `segments`: what the rule of the path matched.

    Raises `Problem` for the first part that does not fit, with all that is wrong in it.
    """
    return {part: _READERS[part](models[part], segments) for part in PARTS if part in models}


def _path(model: type[BaseModel], segments: Mapping[str, str]) -> BaseModel:
    return _validated("path", model, dict(segments), model.model_validate)


def _query(model: type[BaseModel], segments: Mapping[str, str]) -> BaseModel:
    sent = dict(request.args.lists())
    repeated = [name for name, values in sent.items() if len(values) > 1]
    if repeated:
        raise fields_problem("query", [_repeated(name, len(sent[name])) for name in repeated])
    return _validated(
        "query", model, {name: values[0] for name, values in sent.items()}, model.model_validate
    )


def _header(model: type[BaseModel], segments: Mapping[str, str]) -> BaseModel:
    names = [field.alias or name for name, field in model.model_fields.items()]
    sent = {name: request.headers[name] for name in names if name in request.headers}
    return _validated("header", model, sent, model.model_validate)


def _body(model: type[BaseModel], segments: Mapping[str, str]) -> BaseModel:
    text, sent = request_body.read()
    # Strict, and as JSON: a number is no text and a text no number, but an enumeration is written as text.
    return _validated("body", model, sent, lambda _: model.model_validate_json(text, strict=True))


_READERS: Mapping[Part, Callable[[type[BaseModel], Mapping[str, str]], BaseModel]] = {
    "path": _path,
    "query": _query,
    "header": _header,
    "body": _body,
}


def _validated(
    part: Part, model: type[BaseModel], sent: Any, validate: Callable[[Any], BaseModel]
) -> BaseModel:
    try:
        return validate(sent)
    except ValidationError as error:
        errors: Sequence[FieldError] = explain(error, model, sent)
    raise fields_problem(part, errors)


def _repeated(name: str, times: int) -> FieldError:
    return FieldError(pointer(name), f"is given {times} times; give it once")
