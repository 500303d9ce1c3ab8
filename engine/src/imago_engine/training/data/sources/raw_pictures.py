"""What every source of training pictures gives, may unpack, and says of what it cannot give."""

from collections.abc import Callable
from dataclasses import dataclass


class SourceError(ValueError):
    """A source of pictures cannot be read; the message says what was found and what would be accepted."""


@dataclass(frozen=True)
class RawPicture:
    """An encoded picture as it lies in its source. `held_out`: the source wants it not trained on."""

    name: str
    content: bytes
    held_out: bool = False


@dataclass(frozen=True)
class SourceLimits:
    """Bytes that a source may come to in memory or unpacked. Pictures hardly compress: more is a mistake or
    an attack.
    """

    picture: int = 256 * 2**20
    """One encoded picture; a larger one is left out."""
    unpacked: int = 64 * 2**30
    """All of one archive, unless its file itself is larger; an archive that goes on is an error."""


OnLoss = Callable[[str, str], None]
"""Told the name of a picture that is lost, and why."""


def refuse_loss(name: str, reason: str) -> None:
    """For callers that keep no account of losses: the first is an error."""
    raise SourceError(f"{name}: {reason}")
