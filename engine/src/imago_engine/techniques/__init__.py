"""Techniques: the ways to make a picture, found by themselves: one module of this folder each.

A module that defines `TECHNIQUE` adds a technique; how it is computed is in the module of the same name in
`synthesis.techniques`. Nothing else knows techniques by name.
"""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from imago_engine.techniques.base import (
    BaseParameters,
    Need,
    RecipeError,
    Requires,
    Technique,
    Unmet,
    added_later,
)

__all__ = [
    "BaseParameters",
    "Need",
    "RecipeError",
    "Requires",
    "Technique",
    "Unmet",
    "added_later",
    "all_techniques",
    "canonical_parameters",
    "technique_named",
    "technique_of",
]


@cache
def all_techniques() -> Mapping[str, Technique]:
    """Every technique by its id, in the order of the ids."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found = [module.TECHNIQUE for module in modules if hasattr(module, "TECHNIQUE")]
    return {technique.id: technique for technique in sorted(found, key=lambda technique: technique.id)}


def technique_named(id: str) -> Technique:
    """Raises `RecipeError`, which names those there are."""
    known = all_techniques()
    if id not in known:
        raise RecipeError(f"technique: is one of: {', '.join(known)}; got {id!r}")
    return known[id]


def technique_of(parameters: BaseParameters) -> Technique:
    """The technique whose parameters these are. Raises `RecipeError`, which names those there are."""
    for technique in all_techniques().values():
        if technique.Parameters is type(parameters):
            return technique
    known = ", ".join(all_techniques())
    raise RecipeError(f"technique: is one of: {known}; got parameters of {type(parameters).__name__}")


def canonical_parameters(technique: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Settled parameters as they are hashed. Those of a technique that is no more are hashed whole."""
    known = all_techniques().get(technique)
    return dict(parameters) if known is None else known.canonical(parameters)
