"""What all requests and all representations share."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.access.idempotency import LONGEST_KEY

DEFAULT_LIMIT, MAXIMUM_LIMIT = 50, 200

T = TypeVar("T")


def _digits(sent: object) -> object:
    """Pydantic reads ` 7`, `+7`, `7.0` and `1_000` as numbers, which other readers do not."""
    if isinstance(sent, str) and not re.fullmatch(r"-?[0-9]{1,19}", sent):
        raise PydanticCustomError("int_parsing", "must be a whole number")
    return sent


Whole = Annotated[int, BeforeValidator(_digits)]
"""A whole number in an address."""


def _true_or_false(sent: object) -> object:
    """Pydantic reads `on`, `1` and `T` as true."""
    if isinstance(sent, str) and sent not in ("true", "false"):
        raise PydanticCustomError("bool_parsing", "must be true or false")
    return sent


Flag = Annotated[bool, BeforeValidator(_true_or_false)]
"""True or false in an address."""


class RequestModel(BaseModel):
    """A body, query or path: what it does not know is an error, not silently dropped."""

    model_config = ConfigDict(extra="forbid")


class HeaderModel(BaseModel):
    """The headers that a view reads; requests carry others."""

    model_config = ConfigDict(extra="ignore")


def idempotency_key(made: str) -> Any:
    """The header under which a request that makes something, a `made`, can be sent again."""
    return Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=r"^[\x20-\x7e]+$",  # what may stand in a header everywhere
        description="The same request under the same key answers with the "
        f"{made} that it made the first time.",
    )


class Representation(BaseModel):
    """What the API answers with: every field, those with a default too."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class NoQuery(RequestModel):
    """For views without query parameters: one that is misplaced is named instead of ignored."""


class PageQuery(RequestModel):
    """Which page of a list."""

    limit: Whole = Field(DEFAULT_LIMIT, ge=1, le=MAXIMUM_LIMIT, description="How many to return at most.")
    cursor: str | None = Field(None, max_length=1000, description="`next_cursor` of the page before.")


class Page(Representation, Generic[T]):
    data: list[T]
    next_cursor: str | None = Field(description="Pass it on as `cursor` for the next page; null on the last.")


class SelfLink(Representation):
    self: str = Field(description="Path of this object.")


# No NUL, which PostgreSQL cannot even compare with, nor any other control character.
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Time = Annotated[datetime, AfterValidator(lambda value: value.astimezone(UTC))]
"""RFC 3339, always in UTC."""
