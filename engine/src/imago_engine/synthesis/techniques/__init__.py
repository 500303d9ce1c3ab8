"""How each technique is computed: one module each, of the same name as the one that describes it in
`imago_engine.techniques`.

Such a module has `prepare(context, items)`, which gives a `Climb`. It is imported when it is first asked for.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from imago_engine.synthesis.climb import Climb, Context
from imago_engine.synthesis.pictures import Item
from imago_engine.techniques import Technique


class Prepare(Protocol):
    """What a technique's module offers: from items to a climb."""

    def __call__(self, context: Context[Any], items: Sequence[Item]) -> Climb[Any]:
        """The climb of `items`, at its first points. Raises `RecipeError`, `FitError` or `ObjectiveError`."""


def prepare_of(technique: Technique) -> Prepare:
    """The `prepare` of a technique's module here."""
    module = import_module(f"{__name__}.{technique.id.replace('-', '_')}")
    return cast(Prepare, module.prepare)
