"""The network that a form is about, among those that can be chosen instead."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from services.base.errors import NotFound
from services.catalog.networks import Network, get_network, ready_ids

MOST = 200
"""Networks that are listed; one that was asked for is among them all the same."""


@dataclass(frozen=True)
class NetworkChoice:
    """`networks` are ids to choose from, none where no network is ready. `chosen` is the one that was asked
    for, which is never replaced by another; `error` says why nothing can be made of it, `is_known` whether
    there is such a network all the same."""

    networks: Sequence[str]
    chosen: str
    error: str | None
    is_known: bool


def network_choice(session: Session, wanted: str | None, *, usual: str = "") -> NetworkChoice:
    """The choice where `wanted` was asked for. Where nothing was, the `usual` network is chosen, the first
    where that is not ready."""
    ready = list(ready_ids(session, limit=MOST))
    chosen = wanted or next(iter(ready_ids(session, of=usual)), "") or next(iter(ready), "")
    if not chosen or chosen in ready:
        return NetworkChoice(ready, chosen, None, bool(chosen))
    try:
        found = get_network(session, chosen)
    except NotFound as error:
        return NetworkChoice([chosen, *ready] if ready else [], chosen, str(error), False)
    why = _why_not(found)
    return NetworkChoice([chosen, *ready] if ready or why is None else [], chosen, why, True)


def _why_not(found: Network) -> str | None:
    if found.state == "ready":
        return None
    if found.state == "failed":
        return f"{found.id} could not be inspected: {found.error}"
    return f"{found.id} is not ready: a worker is to look at it first; choose another one or try again then"
