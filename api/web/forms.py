"""What a form asks for, read as the body of the same request to the API would be."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.problems.field_errors import explain
from services.base.errors import FieldError, Invalid

Asked = TypeVar("Asked", bound=BaseModel)


@dataclass(frozen=True)
class Field:
    """A field that is made of a property's schema, what it holds, and what was wrong with that."""

    name: str
    schema: Mapping[str, Any]
    value: object
    error: str | None


def read(model: type[Asked], sent: Mapping[str, object]) -> Asked:
    """The request. Raises `Invalid`, with what would be accepted in each field that is wrong."""
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise Invalid(explain(error, model, sent)) from None


def without(body: dict[str, Any], errors: Sequence[FieldError]) -> dict[str, Any]:
    """What was sent without the fields that are wrong, so that the others can be looked at; of a list that is
    wrong somewhere without all of it."""
    left = deepcopy(body)
    for error in errors:
        held: Any = left
        first, *rest = error.pointer.strip("/").split("/")
        while rest and isinstance(held.get(first), dict):
            held, first, rest = held[first], rest[0], rest[1:]
        held.pop(first, None)
    return left


def whole(text: str) -> int | str:
    """A whole number as it was typed; what is none stays text, to be refused by its field."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else text


def typed(schema: Mapping[str, Any], text: str | None) -> object:
    """What a field of a form means for a property; None for one that is left empty."""
    kinds = {kind.get("type") for kind in (*schema.get("anyOf", ()), schema)}
    if "boolean" in kinds:
        return text is not None  # a box that is not ticked is not sent
    text = (text or "").strip()
    if not text:
        return None
    if "array" in kinds:
        return [typed(schema.get("items", {}), part) for part in text.split(",")]
    for kind, read in (("integer", int), ("number", float)):
        if kind in kinds:
            try:
                return read(text)
            except ValueError:
                return text
    return text
