"""A spec is everything that determines one picture; its digest is the picture's name."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from imago_engine.canonical import canonical_json, sha256_of
from imago_engine.objectives import Objective
from imago_engine.techniques import canonical_parameters

_SEED, _UNIT = "\0seed", "\0unit"
"""Stand for a seed and a unit in a text that is made once for many."""
_STANDING_IN = re.compile(r'"(seed|unit)":"\\u0000\1"')
"""Where they stand. No name can look like it, whatever is in it: its quotation marks are escaped."""


@dataclass(frozen=True)
class Recipe:
    """A technique with every parameter settled, as plain JSON values."""

    technique: str
    parameters: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """What is hashed."""
        return {
            "technique": self.technique,
            "parameters": canonical_parameters(self.technique, self.parameters),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits."""
        return sha256_of(self.as_json())


@dataclass(frozen=True)
class Spec:
    """Weights are named by their SHA-256, so a picture is never served for weights that it was not made with.

    `parameters` has every parameter of the technique, settled. `source` is the SHA-256 of the generator's
    file, None for a technique without a generator; `start` that of the picture to begin from, None where the
    seed alone decides. `version` is the technique's: raising it renames all of its pictures and no others.
    """

    network: str
    network_sha256: str
    objective: Objective
    technique: str
    parameters: Mapping[str, Any]
    seed: int
    version: str
    source: str | None = None
    start: str | None = None

    @property
    def recipe(self) -> Recipe:
        """Technique and parameters alone."""
        return Recipe(self.technique, self.parameters)

    def as_json(self) -> dict[str, Any]:
        """What is hashed. The key `engine` is the technique's version, as the first specs have it."""
        found = {
            "engine": self.version,
            "network": self.network,
            "network_sha256": self.network_sha256,
            "recipe": self.recipe.as_json(),
            "seed": self.seed,
            **self.objective.canonical(),
        }
        if self.source is not None:
            found["generator_sha256"] = self.source
        if self.start is not None:
            found["start_sha256"] = self.start
        return found

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
        objective = self.objective.model_copy(update={"unit": _UNIT})
        text = canonical_json({**self.as_json(), **objective.canonical(), "seed": _SEED})
        start, *others = _STANDING_IN.split(text)  # text, then a key and the text behind it, and so on
        parts = zip(others[::2], others[1::2], strict=True)
        template = "".join(f'"{key}":%({key})d' + behind.replace("%", "%%") for key, behind in parts)
        # What comes before the first of the two is hashed once.
        head, rest = hashlib.sha256(start.encode()), template.encode()
        for unit in units:
            for seed in seeds:
                whole = head.copy()
                whole.update(rest % {b"seed": seed, b"unit": unit})
                yield unit, seed, whole.hexdigest()

    @cached_property
    def batch_key(self) -> str:
        """Equal for specs that one batch can compute together; 16 hex digits."""
        together = (
            self.version,
            self.network_sha256,
            self.network,
            *self.objective.layers,
            self.source,
            self.recipe.digest,
        )
        return sha256_of(together)[:16]
