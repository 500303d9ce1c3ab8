"""All classification architectures of torchvision and timm, in the order in which they are tried."""

import re
from itertools import chain, zip_longest

import timm
import torchvision.models

_SMALL = (
    "test",
    "zepto",
    "atto",
    "femto",
    "pico",
    "nano",
    "tiny",
    "mini",
    "small",
    "xxs",
    "_050",
    "_18",
    "18",
)
_LARGE = (
    "large",
    "huge",
    "giant",
    "gigantic",
    "enormous",
    "xlarge",
    "xxlarge",
    "so400m",
    "base",
    "152",
    "200",
)


def all_of_them() -> list[str]:
    """`torchvision:NAME` and `timm:NAME`; of each family the small ones first, the families in turn, so that
    a sweep that ends early has seen something of every one."""
    families: dict[str, list[str]] = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        families.setdefault(f"torchvision {re.split('[_0-9]', name)[0]}", []).append(f"torchvision:{name}")
    for module in timm.list_modules():
        for name in timm.list_models(module=module):
            families.setdefault(f"timm {module}", []).append(f"timm:{name}")
    ordered = [sorted(names, key=_size) for _, names in sorted(families.items())]
    rounds = (filter(None, found) for found in zip_longest(*ordered))
    return list(chain.from_iterable(sorted(found, key=_size) for found in rounds))


def _size(id: str) -> tuple[int, int, str]:
    """How large it probably is, by its name."""
    name = id.partition(":")[2]
    small, large = any(word in name for word in _SMALL), any(word in name for word in _LARGE)
    return large - small, len(name), name
