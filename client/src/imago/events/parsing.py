"""Read server-sent events from lines."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

END = "end"


@dataclass(frozen=True)
class Event:
    """What was told at once: `name` is `progress`, or `end` for the last one.

    data: the server's JSON, with all that changes; of a job also `items`, those that have ended since the
    event before. id: from where to go on; None for what was asked for because there was no stream.
    """

    name: str
    id: str | None
    data: Mapping[str, Any]


def read(lines: Iterable[str]) -> Iterator[Event | None]:
    """The events of a stream; None for each comment, by which a server says that it is still there."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        else:
            if "data" in fields and (data := _object("\n".join(fields["data"]))) is not None:
                yield Event(fields.get("event", ["message"])[-1], fields.get("id", [None])[-1], data)
            fields = {}


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
