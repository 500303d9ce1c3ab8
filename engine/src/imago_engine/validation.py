"""What pydantic found wrong with some fields, in words for people. Also the base of all models of this
package.
"""

from collections.abc import Collection, Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Strict(BaseModel):
    """A model that cannot be changed, takes no unknown field and does not guess: "7" and true are no
    numbers.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    def changed(self, **changes: Any) -> Self:
        """A copy with other values, checked like any. Raises `ValidationError`."""
        return type(self)(**{**dict(self), **changes})


def problems(
    error: ValidationError, known: Collection[str] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each wrong field: the steps that lead to it, and what is expected and was given.

    `known` names the fields there are, for the reader who mistyped one.
    """
    for detail in error.errors(include_url=False):
        message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if detail["type"] == "extra_forbidden":
            message = "is not a known field" + (f"; accepted: {', '.join(known)}" if known else "")
        elif detail["type"] not in ("missing", "value_error"):
            given = detail["input"]
            # 1.0 where a whole number is expected must not read as if 1 had been given.
            shown = (
                repr(given) if detail["type"] == "int_type" and isinstance(given, float) else _shown(given)
            )
            message = f"{message}; got {shown}"
        yield detail["loc"], message[:1].lower() + message[1:]


def _shown(given: object) -> str:
    """What was given, short enough for a sentence; 1e7 is 10000000 and not 10000000.0."""
    return f"{given:.15g}" if isinstance(given, float) else f"{given!r:.80}"
