"""Objectives: what a picture is to excite. A union of models that are told apart by `kind`.

A new kind is a class here with `kind`, `layers` and `canonical`, and its name in `Objective`.
"""

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import Field

from imago_engine.validation import Strict

LayerName = Annotated[str, Field(min_length=1, max_length=200)]
Unit = Annotated[int, Field(ge=0, description="Number of a neuron or channel of the layer, from 0")]
Coordinate = Annotated[int, Field(ge=0)]
Place = tuple[int, int]
"""(y, x) within a layer's map; (token, 0) in a layer of tokens."""


class BaseObjective(Strict, ABC):
    """What every kind tells of itself."""

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """Dotted names of the layers that it looks at: specs that differ in them share no batch."""

    @abstractmethod
    def canonical(self) -> dict[str, Any]:
        """Its part of a spec's canonical JSON. Digests depend on it: it never changes for what exists."""


class UnitObjective(BaseObjective):
    """One unit of a layer, at one place of its map.

    `position` is (y, x); None is the usual place: the centre (H // 2, W // 2) of a map, and of a
    transformer's tokens the class token, or the centre patch where there is none. Its canonical form is flat,
    as it was before there were other kinds.
    """

    kind: Literal["unit"] = "unit"
    layer: LayerName
    unit: Unit
    position: Annotated[tuple[Coordinate, Coordinate] | None, Field(strict=False)] = None

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def canonical(self) -> dict[str, Any]:
        position = None if self.position is None else list(self.position)
        return {"layer": self.layer, "position": position, "unit": self.unit}


class TokenObjective(BaseObjective):
    """One channel of a transformer's layer at one token, counted from 0 in the order of the layer's output.

    The usual token has one spelling only: a `unit` without a position.
    """

    kind: Literal["token"] = "token"
    layer: LayerName
    unit: Unit
    token: Annotated[int, Field(ge=0, description="Number of the token, special tokens included")]

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def canonical(self) -> dict[str, Any]:
        own = {"kind": self.kind, "layer": self.layer, "unit": self.unit, "token": self.token}
        return {"objective": own}


Objective = Annotated[UnitObjective | TokenObjective, Field(discriminator="kind")]


def place_of(objective: UnitObjective | TokenObjective) -> Place | None:
    """Where an objective's unit is read; None for the usual place."""
    if isinstance(objective, TokenObjective):
        return objective.token, 0
    return objective.position


def objective_at(
    layer: str, unit: int, *, position: tuple[int, int] | None = None, token: int | None = None
) -> UnitObjective | TokenObjective:
    """A unit at a position or a token, of which one at most is given; at its usual place without."""
    if token is None:
        return UnitObjective(layer=layer, unit=unit, position=position)
    return TokenObjective(layer=layer, unit=unit, token=token)


def canonical_token(token: int | None, usual: int | None) -> int | None:
    """None where the token is the one taken by default, so that both spellings have one digest."""
    return None if token == usual else token


def canonical_position(
    position: tuple[int, int] | None, height: int | None, width: int | None
) -> tuple[int, int] | None:
    """None where the position is the one taken by default, so that both spellings have one digest."""
    if position is None or height is None or width is None or position == (height // 2, width // 2):
        return None
    return position
