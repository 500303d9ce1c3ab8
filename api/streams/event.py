"""Events as they are written (HTML Living Standard, 9.2), and the ids by which a stream goes on."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"
RETRY = b"retry: 2000\n\n"
ID_PATTERN = r"^[0-9]{1,16}(-([0-9a-f]{8}|[0-9a-f]{64}))?$"

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VOLATILE = frozenset({"rate", "eta_seconds", "eta_range"})


@dataclass(frozen=True)
class EventId:
    """What whoever names this event has been told: everything up to `at`.

    `fingerprint` is that of the state which it told; `digest` is there instead of it where items that ended
    at the same time are still to be told: those after that digest.
    """

    at: datetime
    fingerprint: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id of that text, which fits `ID_PATTERN`. Zero is from the beginning."""
        if not re.fullmatch(ID_PATTERN, text):
            raise ValueError(f"{text!r} is not the id of an event")
        microseconds, _, rest = text.partition("-")
        at = BEGINNING + int(microseconds) * _MICROSECOND
        return cls(at, rest if len(rest) == 8 else None, rest if len(rest) == 64 else None)

    def __str__(self) -> str:
        rest = self.fingerprint or self.digest
        microseconds = (self.at - BEGINNING) // _MICROSECOND
        return f"{microseconds}-{rest}" if rest else str(microseconds)


def fingerprint(state: Mapping[str, Any]) -> str:
    """Eight digits that differ where a state does, but for guesses of the time that is left."""
    told = dict(state)
    if isinstance(progress := told.get("progress"), Mapping):
        told["progress"] = {name: value for name, value in progress.items() if name not in _VOLATILE}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def written(name: str, id: EventId, data: Mapping[str, Any]) -> bytes:
    """The event as it is sent. JSON has no line break of its own, so its data is one line."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\nid: {id}\ndata: {text}\n\n".encode()
