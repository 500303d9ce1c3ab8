"""Free ports of 127.0.0.1."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Below the range from which Linux takes ports for outgoing connections (32768 and up), also after the
# offset is added: a port that is remembered for the next start is then not lost to a passing connection.
_LOWEST, _HIGHEST = 10_100, 22_000
_GRPC_OFFSET = 10_000


def checked(value: object) -> int:
    """The number of a port. Raises ValueError for what is none."""
    if not isinstance(value, int) or not 0 < value < 2**16:
        raise ValueError(f"{value!r} is no port")
    return value


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def choosing() -> Iterator[None]:
    """While it is entered, no other process of this user is within it: of two that look at the same moment
    whether a port is free, both would find it so. Enter it before looking, and leave it once a server listens
    there."""
    path = Path(tempfile.gettempdir()) / f"imago-ports-{os.getuid()}.lock"
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def pick(count: int) -> list[int]:
    """`count` different ports p such that p and p + 10000 are free.

    SeaweedFS opens a gRPC port at +10000 beside each of its ports, on its own account; the other servers
    take from the same list and do not use the second one.
    """
    with ExitStack() as held:
        found: list[int] = []
        for port in random.SystemRandom().sample(range(_LOWEST, _HIGHEST), _HIGHEST - _LOWEST):
            if len(found) == count:
                return found
            if port not in found and _hold(port, held) and _hold(port + _GRPC_OFFSET, held):
                found.append(port)
    raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST} on 127.0.0.1")


def _hold(port: int, held: ExitStack) -> bool:
    """Bind the port until `held` is closed, so that one call does not hand it out twice."""
    holder = held.enter_context(socket.socket())
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
