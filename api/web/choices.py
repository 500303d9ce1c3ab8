"""What a page was asked to show, read of its address: choices, numbers, text; what is wrong is named."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from flask import request

from api.auth import visitor
from services.access.keys import Principal
from services.base.errors import Invalid, Unauthenticated

Choice = TypeVar("Choice", bound=StrEnum)
ME = "me"


def chosen(name: str, choices: type[Choice]) -> Choice | None:
    """The choice of a parameter; None where it is not there or empty. Raises `Invalid`."""
    said = word(name, choices)
    return None if said is None else choices(said)


def word(name: str, words: Iterable[str]) -> str | None:
    """The same of plain words."""
    said, allowed = text(name), [str(word) for word in words]
    if said is not None and said not in allowed:
        raise Invalid.field(f"/{name}", f"must be one of {', '.join(allowed)}; got {said!r}")
    return said


def states(
    known: Iterable[StrEnum], present: str | None, address: Callable[[str | None], str]
) -> list[tuple[str, str, bool]]:
    """All, and those in each state: what each is called, where it is, and whether it is the present one."""
    named: list[tuple[str, str | None]] = [("all", None), *((str(each), str(each)) for each in known)]
    return [(name, address(value), value == present) for name, value in named]


def number(name: str, most: int = 2**31 - 1) -> int | None:
    """A number from 0; None where it is not there or empty. Raises `Invalid`."""
    said = text(name)
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 11 and int(said) <= most):
        raise Invalid.field(f"/{name}", f"must be a number from 0 to {most}; got {said!r}")
    return int(said)


def owner() -> Principal | None:
    """Whose entries alone a list is asked for, `owner=me`; None for everybody's. Raises `Unauthenticated` for
    one's own where nobody is signed in, `Invalid` for anybody else's."""
    if word("owner", (ME,)) is None:
        return None
    who = visitor()
    if who is None:
        raise Unauthenticated("Whose these are is told by a key: sign in with one.")
    return who


def text(name: str) -> str | None:
    """What was typed, without spaces around it; None for nothing. Raises `Invalid` for control characters."""
    said = request.args.get(name, "").strip()
    if len(said) > 200 or any(ord(sign) < 32 or ord(sign) == 127 for sign in said):
        raise Invalid.field(f"/{name}", "must be 200 characters at most, none of them a control character")
    return said or None
