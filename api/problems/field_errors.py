"""Pydantic's validation errors as sentences for the person who wrote the request.

Pydantic names a place by a path through its own schema (union branches included) and speaks of Python
types. A reader needs the place in what they sent and what would be accepted there instead.
"""

import difflib
import json
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.base.errors import FieldError, pointer
from services.base.plain_text import VISIBLE

Part = Literal["body", "query", "path", "header"]
"""The part of a request that a model reads."""
ERRORS_SHOWN = 50
"""A body can be wrong in a hundred thousand places, of which the first are told."""


def explain(error: ValidationError, model: type[BaseModel], sent: object) -> list[FieldError]:
    """Say for each field that is wrong what would be accepted, in the order of the fields.

    `sent` is the value that was validated. A field of a union type fails once a branch: those sentences are
    joined by "or", since any branch would do. One field beyond `ERRORS_SHOWN` says that there are more;
    further ones are not put into words, which takes longer than to find them.
    """
    sentences: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        place = _place(detail, sent)
        known = sentences.setdefault(pointer(*place), [])
        sentence = _sentence(detail, _model_at(model, place[:-1]))
        if sentence not in known:
            known.append(sentence)
        if len(sentences) > ERRORS_SHOWN:
            break
    return [FieldError(where, ", or ".join(found)) for where, found in sentences.items()]


def _place(detail: ErrorDetails, sent: object) -> list[str | int]:
    """The steps of the error's location that exist in what was sent; the rest are names of union branches."""
    place: list[str | int] = []
    value: Any = sent
    last = len(detail["loc"]) - 1
    for index, step in enumerate(detail["loc"]):
        if _leads_on(value, step):
            value = value[step]
        elif not (index == last and detail["type"] == "missing"):
            continue
        place.append(step)
    return place


def _leads_on(value: object, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _model_at(model: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that describes the object at this place, so that its fields can be named."""
    found: type[BaseModel] | None = model
    for step in place:
        if isinstance(step, int):
            continue
        field = found.model_fields.get(step) if found else None
        found = _model_within(field.annotation) if field else None
    return found


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_within(part))), None)


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _sentence(detail: ErrorDetails, parent: type[BaseModel] | None) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    match kind:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return _unknown(str(detail["loc"][-1]), _names(parent) if parent else [])
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be an object, got {_shown(value)}"
        case "list_type" | "tuple_type":
            return f"must be a list, got {_shown(value)}"
        case "string_type":
            return f"must be a string, got {_shown(value)}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number, got {_shown(value)}"
        case "float_type" | "float_parsing" | "finite_number":
            return f"must be a number, got {_shown(value)}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false, got {_shown(value)}"
        case "greater_than_equal":
            return f"must be at least {_limit(context['ge'])}, got {_shown(value)}"
        case "greater_than":
            return f"must be more than {_limit(context['gt'])}, got {_shown(value)}"
        case "less_than_equal":
            return f"must be at most {_limit(context['le'])}, got {_shown(value)}"
        case "less_than":
            return f"must be less than {_limit(context['lt'])}, got {_shown(value)}"
        case "too_short":
            return f"must have at least {context['min_length']} items, got {context['actual_length']}"
        case "too_long":
            return (
                f"must have at most {context['max_length']} items, got {context['actual_length'] or 'more'}"
            )
        case "string_too_short":
            if context["min_length"] == 1:
                return "must not be empty"
            return f"must have at least {context['min_length']} characters, got {_shown(value)}"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            if context["pattern"] == VISIBLE:
                return f"must have no characters that control or are not seen, got {_shown(value)}"
            return f"must match {context['pattern']}, got {_shown(value)}"
        case "literal_error" | "enum":
            return f"must be {context['expected']}, got {_shown(value)}"
        case "value_error" | "assertion_error":
            return str(context.get("error", detail["msg"]))
        case _:
            return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {_shown(value)}"


def _unknown(name: str, accepted: list[str]) -> str:
    if not accepted:
        return "is not a known field"
    near = difflib.get_close_matches(name, accepted, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"is not a known field; {hint}accepted here: {', '.join(accepted)}"


def _limit(number: float) -> str:
    """As people write it: 1 and not 1.0, which a limit of a field for fractions would be."""
    return f"{number:.15g}".replace("e-0", "e-")


def _shown(value: object, limit: int = 60) -> str:
    """The value as JSON, short enough for a sentence."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= limit else text[:limit] + "…"
