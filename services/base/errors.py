"""Errors of the domain. None of these knows HTTP; `api.problems` maps them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from imago_engine.validation import problems


class ImagoError(Exception):
    """Base of all errors that a caller is expected to handle. The message is written for people."""


@dataclass(frozen=True)
class FieldError:
    """One wrong field: a JSON pointer (RFC 6901) such as `/targets/0/units`, and what would be accepted."""

    pointer: str
    detail: str


class Invalid(ImagoError):
    """What was asked for cannot be used as it is. Nothing was written."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors: tuple[FieldError, ...] = tuple(errors)
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in self.errors))

    @classmethod
    def field(cls, pointer: str, detail: str) -> "Invalid":
        """One field that is wrong."""
        return cls([FieldError(pointer, detail)])

    def told_at(self, places: Mapping[str, str]) -> "Invalid":
        """The same of a request that has these fields elsewhere: `places` maps where a pointer begins to what
        it begins with there."""
        return Invalid(_moved(error, places) for error in self.errors)


def _moved(error: FieldError, places: Mapping[str, str]) -> FieldError:
    for before, after in places.items():
        if error.pointer == before or error.pointer.startswith(f"{before}/"):
            return FieldError(after + error.pointer.removeprefix(before), error.detail)
    return error


class NotFound(ImagoError):
    """There is no such thing. `hint` says what there is instead."""

    def __init__(self, kind: str, id: str, hint: str = "") -> None:
        self.kind, self.id, self.hint = kind, id, hint
        super().__init__(f"There is no {kind} {id!r}." + (f" {hint}" if hint else ""))


class Conflict(ImagoError):
    """Not possible in the present state of the thing."""


class IdempotencyKeyReused(Conflict):
    """The idempotency key stands for another request already."""


class Unauthenticated(ImagoError):
    """Nobody is known by this key."""


class Forbidden(ImagoError):
    """Known, but not allowed to do this."""


class Unavailable(ImagoError):
    """A server that is needed does not do its part; the same request may succeed later.

    `reason` is for the operator: drivers name hosts, ports and users in it. `advice` is for anyone.
    """

    verdict = "does not answer"

    def __init__(self, what: str, reason: str = "", *, advice: str = "") -> None:
        self.what = what
        self.for_anyone = " ".join(filter(None, (f"The {what} {self.verdict}.", advice)))
        """What may be told to whoever asks."""
        super().__init__(" ".join(filter(None, (self.for_anyone, reason))))


class Refused(Unavailable):
    """A server that is needed answers, and refuses."""

    verdict = "answers, but refuses"


class Full(Unavailable):
    """As much waits already as the service lets wait of this."""

    verdict = "is full"


class ClockOff(Refused):
    """A server refuses what seems to come from another time: one of the two clocks is wrong."""

    verdict = "refuses because of the time"


def pointer(*steps: str | int) -> str:
    """A JSON pointer to the value reached by these steps."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def field_errors(
    error: ValidationError, *prefix: str | int, known: Collection[str] = ()
) -> Sequence[FieldError]:
    """What pydantic found, as field errors below `prefix`; each says what is expected and what was given.

    `known` names the fields there are, for the reader who mistyped one.
    """
    return [FieldError(pointer(*prefix, *steps), message) for steps, message in problems(error, known=known)]
