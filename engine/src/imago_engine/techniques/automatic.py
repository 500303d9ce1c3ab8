"""The technique of a unit that nobody has chosen one for: `auto`, the default of jobs.

A generator shows things. Units of the first layers see a few pixels and ask for an edge, a grating or a
colour; a generator then makes a whole plain picture of that colour. `fourier` shows what they ask for, in a
picture about as large as what they see.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from imago_engine.techniques.base import LARGEST_INPUT, SMALLEST_INPUT, BaseParameters

AUTO = "auto"
"""Stands for a technique in requests, never in a recipe: it is resolved before a spec is made."""
WITH_GENERATOR, WITHOUT = "dgn-am", "fourier"

LARGEST_EARLY_FIELD = 147
"""Receptive fields up to so many pixels are shown by `fourier`.

Of EfficientNet-lite0's units (docs/pictures.md): of 16 each that see 83, 115 and 147 pixels 4, 2 and 1 come
out in one colour with the generator, none with `fourier`; of those that see 211 none does with the generator.
"""
MARGIN = 4
"""Strides of the layer that a picture is larger than the field, so that the unit at its centre sees no
padding and the field's edges show.
"""


@dataclass(frozen=True)
class Chosen:
    """A technique, with the parameters that are not its defaults. `least_size` is the picture's side, or as
    little more as the network takes; None for the network's usual one.
    """

    technique: str
    parameters: dict[str, Any]
    least_size: int | None = None


def chosen(receptive_field: int | None, stride: int | None) -> Chosen:
    """What suits units that see a window of `receptive_field` pixels, `stride` apart; None where that is not
    known, or everything: then the generator is chosen.
    """
    if receptive_field is None or stride is None or receptive_field > LARGEST_EARLY_FIELD:
        return Chosen(WITH_GENERATOR, {})
    # Warps in proportion to what the unit sees: Lucid's, for pictures of 128 pixels and more, would move an
    # edge of three pixels out of its sight.
    still = {"padding": 0, "jitter": receptive_field // 8, "scale": 0.05, "rotation": 3.0}
    parameters = {"steps": 128, **still}
    return Chosen(WITHOUT, parameters, max(receptive_field + MARGIN * stride, SMALLEST_INPUT))


def named_size(size: int) -> int | None:
    """`input_size` for an input of so many pixels, the least that suits a layer and that its network takes;
    None, the network's own, where that is beyond what a recipe may name.
    """
    return size if SMALLEST_INPUT <= size <= LARGEST_INPUT else None


def leaves_open(parameters: Collection[str]) -> bool:
    """Whether parameters that were asked for fit every technique; others mean the generator's."""
    return set(parameters) <= set(BaseParameters.model_fields)
