"""A spec is everything that determines one picture; its digest is the picture's name."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from services.canonical import canonical_json, sha256_of
from services.recipes import Recipe

ENGINE_VERSION = "2"
"""Raised by hand when the engine changes its pictures, and only then: every digest changes with it."""


@dataclass(frozen=True)
class Spec:
    """`position` is (y, x) within the layer's map, or None for the centre, (H // 2, W // 2).

    Weights are named by their SHA-256, so a picture is never served for weights that it was not made with.
    """

    network: str
    network_sha256: str
    layer: str
    unit: int
    position: tuple[int, int] | None
    generator_sha256: str
    recipe: Recipe
    seed: int
    engine: str = ENGINE_VERSION

    def as_json(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "generator_sha256": self.generator_sha256,
            "layer": self.layer,
            "network": self.network,
            "network_sha256": self.network_sha256,
            "position": None if self.position is None else list(self.position),
            "recipe": {"technique": self.recipe.technique, "parameters": dict(self.recipe.parameters)},
            "seed": self.seed,
            "unit": self.unit,
        }

    def canonical(self) -> str:
        """The text that is hashed."""
        return canonical_json(self.as_json())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits."""
        return sha256_of(self.as_json())

    def digests(self, units: Iterable[int], seeds: Sequence[int]) -> Iterator[tuple[int, int, str]]:
        """(unit, seed, digest) of the specs that are as this one but for unit and seed, by unit, then seed.

        The same as making each `Spec`, without spelling out again for each of a million what they share.
        """
        shared = self.as_json()
        del shared["seed"], shared["unit"]
        # Keys are sorted, so the two that vary come last.
        assert max(shared) < "seed" < "unit"
        head = hashlib.sha256(f"{canonical_json(shared)[:-1]},".encode())
        for unit in units:
            for seed in seeds:
                whole = head.copy()
                whole.update(b'"seed":%d,"unit":%d}' % (seed, unit))
                yield unit, seed, whole.hexdigest()

    @cached_property
    def batch_key(self) -> str:
        """Equal for specs that one batch can compute together; 16 hex digits."""
        together = (
            self.engine,
            self.network_sha256,
            self.network,
            self.layer,
            self.generator_sha256,
            self.recipe.digest,
        )
        return sha256_of(together)[:16]


def canonical_position(
    position: tuple[int, int] | None, height: int | None, width: int | None
) -> tuple[int, int] | None:
    """None where the position is the one taken by default, so that both spellings have one digest."""
    if position is None or height is None or width is None or position == (height // 2, width // 2):
        return None
    return position
