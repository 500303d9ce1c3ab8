"""A training: how far it is, its losses as charts, and what it makes of held-out pictures as time goes by."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlencode

from flask import Response, request

from api.auth import principal, requires, visitor
from api.context import context
from api.operations.pagination import next_path
from api.schemas.trainings import Training, TrainingSample
from api.web import choices
from api.web.addresses import ServerAddresses
from api.web.pages.trainings import comparison, curves
from api.web.pages.trainings.comparison import Comparison
from api.web.pages.trainings.curves import Curves
from api.web.site import blueprint, page, see
from api.web.stored import opened
from services.access.ownership import may_change
from services.base.errors import Invalid
from services.base.states import TrainingState
from services.catalog import removal
from services.pictures.losses import Subject
from services.trainings import trainings
from services.trainings.trainings import TrainingView

TRAININGS_A_PAGE, GRIDS_SHOWN = 50, 100
_LONGEST_LINE = 64 * 1024
"""Bytes of a log's line; what is longer is none of ours."""
_LINES_SHOWN = 20
_EDGE = 50
"""Per cent of a tile that show the picture until somebody moves the edge."""


@dataclass(frozen=True)
class Shown:
    """The sample that is looked at: its place among all, and how it is compared."""

    at: int
    sample: TrainingSample
    image: str
    edge: int
    comparison: Comparison | None
    earlier: str | None
    later: str | None


@blueprint.get("/trainings")
@requires("read")
def list_of_trainings() -> Response:
    """Trainings, the newest first, in a `state`."""
    state, cursor = request.args.get("state"), request.args.get("cursor")
    with context().database.session() as session:
        found = trainings.list(session, cursor=cursor, limit=TRAININGS_A_PAGE, state=state)
    address = ServerAddresses()
    return page(
        "trainings/trainings.html",
        section="generators",
        trainings=[Training.of(training) for training in found.data],
        chosen=state,
        choices=choices.states(TrainingState, state, lambda value: address.page("trainings", state=value)),
        is_later_page=cursor is not None,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )


@blueprint.get("/trainings/<training>")
@requires("read")
def training(training: str) -> Response:
    """A training. `sample`: which of its grids is shown, by its place · `edge`: how much of the pictures."""
    with context().database.session() as session:
        found = trainings.get(session, training)
        grids = trainings.grids(session, training, limit=GRIDS_SHOWN)
    samples = [TrainingSample.of(found.id, sample) for sample in grids]
    objects = [sample.image_object or "" for sample in grids]
    drawn, last_lines = _log(found)
    who = visitor()
    return page(
        "trainings/training.html",
        section="generators",
        training=Training.of(found),
        ended=found.ended,
        curves=drawn,
        lines=last_lines,
        samples=samples,
        shown=_shown(found.id, samples, objects),
        may_change=who is not None and may_change(found.owner_key_id, who),
    )


@blueprint.post("/trainings/<training>/cancel")
@requires("jobs:write")
def cancel_training(training: str) -> Response:
    """Cancel it, and show it again."""
    with context().database.session() as session:
        trainings.cancel(session, training, by=principal())
    return see(ServerAddresses().training(training))


@blueprint.post("/trainings/<training>/remove")
@requires("jobs:write")
def remove_training(training: str) -> Response:
    """Remove it with its log and samples, and show the others."""
    with context().database.session() as session:
        removal.remove_training(session, training, by=principal())
    return see(ServerAddresses().page("trainings"))


def _log(found: TrainingView) -> tuple[Curves, Sequence[str]]:
    """Its charts and its last lines; nothing before the first checkpoint, or while the log cannot be had."""
    file = None if found.log_object is None else opened(found.log_object, Subject("log", found.id))
    if file is None:
        return Curves(), ()
    last: deque[bytes] = deque(maxlen=_LINES_SHOWN)
    with file:
        drawn = curves.read(_passing(file, last))
    return drawn, [line.decode(errors="replace").rstrip() for line in last]


def _passing(file: IO[bytes], last: deque[bytes]) -> Iterator[bytes]:
    """All lines one by one, however many there are; the last of them stay in `last`."""
    while line := file.readline(_LONGEST_LINE):
        last.append(line)
        yield line


def _shown(training: str, samples: Sequence[TrainingSample], objects: Sequence[str]) -> Shown | None:
    if not samples:
        return None
    at = _number("sample", len(samples) - 1, len(samples) - 1)
    edge = _number("edge", _EDGE, 100)
    sample = samples[at]
    assert sample.links.image is not None

    def of(place: int) -> str | None:
        if not 0 <= place < len(samples):
            return None
        return f"?{urlencode({'sample': place, 'edge': edge})}#samples"

    return Shown(
        at,
        sample,
        sample.links.image,
        edge,
        comparison.of_grid(objects[at], training, sample.pictures, edge),
        of(at - 1),
        of(at + 1),
    )


def _number(name: str, usual: int, most: int) -> int:
    """A parameter of the page. Raises `Invalid` for what is no number; too large ones are the largest: there
    may be fewer samples than when the link was made."""
    text = request.args.get(name, "")
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid.field(f"/{name}", f"must be a whole number, at least 0; got {text!r:.40}")
    return min(int(text), most)
