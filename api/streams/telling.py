"""What has happened, as events: the state as it is now, and the items that have ended since."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from api.streams.event import EventId, fingerprint, written
from api.streams.subjects import Snapshot
from services.jobs.ended_items import EndedItem

ITEMS_OF_AN_EVENT = 100


def state_of(snapshot: Snapshot) -> str:
    """The fingerprint of all that a snapshot tells."""
    return fingerprint({**snapshot.state, "layers": dict(snapshot.layers)})


def events(
    snapshot: Snapshot,
    items: Sequence[EndedItem],
    at: datetime,
    *,
    layers: Mapping[str, Any] | None = None,
    since: EventId | None = None,
    goes_on: bool = False,
) -> Iterator[bytes]:
    """The events that tell a state as of `at`, with items, some in each.

    `layers`: those to tell, by default all. `since`: from where to go on after an event that is not the last
    of these; by default, from its last item, which needs items in the order in which they are kept.
    `goes_on`: more items are to follow, so that none of these is the last.
    """
    shown = {**snapshot.state}
    if snapshot.layers:
        shown["layers"] = list((snapshot.layers if layers is None else layers).values())
    has_items = shown["object"] == "job"
    pieces = [items[start : start + ITEMS_OF_AN_EVENT] for start in range(0, len(items), ITEMS_OF_AN_EVENT)]
    for number, piece in enumerate(pieces or [()], 1):
        is_last = number == max(len(pieces), 1) and not goes_on
        if is_last:
            id = EventId(at, fingerprint=state_of(snapshot))
        else:
            id = since or EventId(piece[-1].finished_at, digest=piece[-1].digest)
        data = {**shown, "items": [_shown(item) for item in piece]} if has_items else shown
        yield written("end" if is_last and snapshot.ended else "progress", id, data)


def _shown(item: EndedItem) -> dict[str, Any]:
    return {
        "ordinal": item.ordinal,
        "digest": item.digest,
        "layer": item.layer,
        "unit": item.unit,
        "seed": item.seed,
        "state": str(item.state),
    }
