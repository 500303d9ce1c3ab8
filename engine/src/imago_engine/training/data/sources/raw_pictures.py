"""What every source of training pictures gives, may unpack, and says of what it cannot give."""

import errno
from collections.abc import Callable
from dataclasses import dataclass


class SourceError(ValueError):
    """A source of pictures cannot be read; the message says what was found and what would be accepted."""


class SourceUnread(SourceError):
    """The operating system cannot read a source now, which may pass: a share is away, a disk is failing."""


class Unread(str):
    """Why a picture is lost that the operating system cannot read now, which may pass."""


_OF_WHAT_IS_THERE = frozenset(
    {
        errno.EACCES, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT,
        errno.ENOTDIR, errno.EPERM,
    }
)  # fmt: skip
"""Errors that say what lies there, or whose it is (EINVAL: a damaged archive points to before its beginning).
All others say that nothing can be known of it now."""


def may_pass(error: OSError) -> bool:
    """Whether it says nothing of what lies there, but only that it cannot be read now. What reads compressed
    files raises OSError without a number for damaged ones."""
    return error.errno is not None and error.errno not in _OF_WHAT_IS_THERE


def unread(message: str, error: OSError) -> SourceError:
    """What to raise for a source that the operating system does not give."""
    return (SourceUnread if may_pass(error) else SourceError)(message)


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
"""Told the name of a picture that is lost, and why: an `Unread` where it may be had at another time."""


def refuse_loss(name: str, reason: str) -> None:
    """For callers that keep no account of losses: the first is an error."""
    raise SourceError(f"{name}: {reason}")
