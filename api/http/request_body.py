"""Read JSON bodies: media type, syntax, and limits on depth and size that hold for every model."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flask import Flask, request

from api.edge.limits import BODY_BYTES
from api.problems import problem_types
from api.problems.field_errors import ERRORS_SHOWN
from api.problems.problems import Problem, fields_problem
from services.base.errors import FieldError, pointer

DEPTH, MEMBERS, VALUES = 32, 256, 100_000
"""How deep values may lie in each other, how many members an object may have, how many values a body."""

_TYPE = "application/json"


@dataclass(frozen=True)
class _Repeated:
    """An object some of whose names stand there twice, which readers of JSON take differently."""

    names: Sequence[str]
    members: dict[str, Any]


def read() -> tuple[bytes, Any]:
    """The body of the request, as it was sent and as the JSON value that it is. Raises `Problem`."""
    _check_type()
    text = request.get_data()
    try:
        body = json.loads(text.decode(), parse_constant=_refuse_constant, object_pairs_hook=_members)
    except UnicodeDecodeError:
        raise Problem(problem_types.MALFORMED, "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(problem_types.MALFORMED, f"The body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise Problem(problem_types.MALFORMED, "The body is nested too deeply.") from None
    except ValueError:
        raise Problem(problem_types.MALFORMED, "The body has a number of thousands of digits.") from None
    errors = list(islice(_faults(body, []), ERRORS_SHOWN + 1)) or _too_many(body)
    if errors:
        raise fields_problem("body", errors)
    return text, body


def _check_type() -> None:
    headers = {"Accept-Post": _TYPE}
    if request.mimetype != _TYPE:
        sent = repr(request.mimetype) if request.mimetype else "no type"
        detail = f"The body must be sent as {_TYPE}, not as {sent}."
        raise Problem(problem_types.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        detail = f"JSON is UTF-8; the body says that it is {charset!r}."
        raise Problem(problem_types.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        detail = f"The body must be sent as it is, not with Content-Encoding {encoding!r}."
        headers = {"Accept-Encoding": "identity"}
        raise Problem(problem_types.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)


def _refuse_constant(name: str) -> None:
    """Python's reader takes NaN and Infinity, which JSON does not have and no field can mean."""
    raise Problem(problem_types.MALFORMED, f"The body is not JSON: {name} is not a JSON value.")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    times = Counter(name for name, _ in pairs)
    return _Repeated([name for name in members if times[name] > 1], members)


def _faults(value: Any, place: list[str | int]) -> Iterator[FieldError]:
    """What no field can hold: wrong names of members, texts that are none, numbers beyond all limits."""
    if isinstance(value, _Repeated):
        for name in value.names:
            yield _fault([*place, name], "is given more than once in this object; give it once")
        value = value.members
    if isinstance(value, dict | list) and len(place) == DEPTH:
        yield _fault(place, f"lies too deep: values may be nested {DEPTH} times at most")
    elif isinstance(value, dict):
        if len(value) > MEMBERS:
            yield _fault(place, f"must have at most {MEMBERS} members, got {len(value)}")
            return
        for name, member in value.items():
            if not _is_storable(name):
                yield _fault(place, f"has a member whose name {_STORABLE}")
            yield from _faults(member, [*place, name])
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _faults(entry, [*place, index])
    elif isinstance(value, str):
        if not _is_storable(value):
            yield _fault(place, _STORABLE)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            yield _fault(place, "must be a number of 64 bits at most, which is less than 9.3e18")
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        yield _fault(place, "must be a finite number, at most 1.7e308")


_STORABLE = "must not contain U+0000 or half of a surrogate pair"


def _is_storable(text: str) -> bool:
    """Whether it is Unicode that PostgreSQL can hold: JSON's escapes can make what is neither."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _fault(place: Sequence[str | int], detail: str) -> FieldError:
    return FieldError(pointer(*(str(step).encode(errors="replace").decode() for step in place)), detail)


def _too_many(body: Any) -> list[FieldError]:
    """A body whose parts are well and too many. Only lists can be long: objects have few members each."""
    count, waiting = 0, [body]
    while waiting:
        value = waiting.pop()
        count += 1
        waiting.extend(
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        )
    if count <= VALUES:
        return []
    return [FieldError("", f"holds {count} values, {VALUES} at most are read; name units as ranges (0-999)")]


def register(app: Flask) -> None:
    """Let Flask refuse bodies that are too large."""
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES
