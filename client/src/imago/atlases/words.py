"""Words for layers and units, in a request."""

from collections.abc import Sequence
from typing import Any


def listed(words: str | Sequence[Any] | None) -> Any:
    """A text as it is, any other sequence as a list."""
    return words if words is None or isinstance(words, str) else [*words]
