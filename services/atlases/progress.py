"""How far atlases are, told by the counters of their jobs: what it costs does not depend on how many pictures
an atlas has."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.atlases.subjects import EXPAND
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.atlases.versions import candidates_of, open_version
from services.base.states import LIVE_JOBS, AtlasState, AtlasWish, Lane, Visibility, listed
from services.catalog.tables import NetworkRow
from services.estimates import forecast, rates
from services.estimates.cost_model import Kind, Seconds
from services.estimates.estimates import Part, Queue, Waiting
from services.jobs.progress import ErrorSummary
from services.jobs.tables import JobRow
from services.queue import chores
from services.queue.queue_order import next_turn

GOING_ON = (AtlasState.PLANNING, AtlasState.BUILDING)
"""States of an atlas of which pictures are to come."""

_COUNTS = text("""
    SELECT layer_no, sum(total) AS expanded, sum(done) AS done, sum(failed) AS failed,
        sum(unreachable) AS unreachable, sum(canceled) AS canceled
    FROM jobs WHERE atlas_no = :no GROUP BY layer_no
""")
# Of several atlases at once, which one page may show.
_THESE = "atlas_no = ANY(CAST(:nos AS int[]))"
_ALL_COUNTS = text(f"""
    SELECT atlas_no, sum(total) AS expanded, sum(done) AS done, sum(failed) AS failed,
        sum(unreachable) AS unreachable, sum(canceled) AS canceled, bool_or(undecided) AS undecided
    FROM jobs WHERE {_THESE} GROUP BY atlas_no
""")
_ASKED = text(f"""
    SELECT atlas_no, count(*) AS layers, sum(CAST(unit_count AS bigint) * facets) AS total,
        bool_or(expanded < unit_count * facets) AS unexpanded
    FROM atlas_layers WHERE {_THESE} GROUP BY atlas_no
""")
_LATEST = text(f"""
    SELECT atlas_no, max(number) AS number FROM atlas_versions
    WHERE {_THESE} AND published_at IS NOT NULL GROUP BY atlas_no
""")
_THEIR_LAYERS = text(f"""
    SELECT id, layer_no FROM jobs
    WHERE atlas_no = :no AND id = ANY(CAST(:ids AS text[])) AND state IN {listed(LIVE_JOBS)}
""")
_RATE = text("""
    SELECT sum(rate * exp(-greatest(extract(epoch FROM now() - rate_at), 0) / :window)) AS rate,
        min(started_at) AS since, now() AS now
    FROM jobs WHERE atlas_no = :no AND rate_at > now() - interval '5 minutes'
""")
_ERRORS = text("""
    SELECT key AS code, sum(CAST(value ->> 'count' AS int)) AS items, min(value ->> 'message') AS message
    FROM jobs, jsonb_each(errors) WHERE atlas_no = :no AND failed > 0 GROUP BY key
""")


@dataclass(frozen=True)
class Pictures:
    """Pictures by what became of them: `total` are asked for, `expanded` of these have a job, and the others
    are parts of `expanded`; `queued` are those that wait.
    """

    total: int = 0
    expanded: int = 0
    done: int = 0
    failed: int = 0
    unreachable: int = 0
    canceled: int = 0
    leased: int = 0

    @property
    def queued(self) -> int:
        """Those that have a job and wait to be claimed."""
        ended = self.done + self.failed + self.unreachable + self.canceled
        return max(self.expanded - ended - self.leased, 0)

    @property
    def ended(self) -> bool:
        """Whether all have come to an end of their own."""
        return self.total == self.done + self.failed + self.unreachable


@dataclass(frozen=True)
class AtlasLayer:
    """A layer of an atlas that is being built. `ordinal` is its place in the network."""

    layer: str
    ordinal: int
    units: str
    unit_count: int
    facets: int
    technique: str
    parameters: Mapping[str, Any]
    generator: str | None
    pictures: Pictures


@dataclass(frozen=True)
class Version:
    """A version of an atlas; `layers` is as `AtlasVersionRow` has it. `publishing`: it is the open one, and
    will be published in a moment."""

    number: int
    request: Mapping[str, Any]
    network_sha256: str
    generator: str | None
    layers: Sequence[Mapping[str, Any]] | None
    created_at: datetime
    published_at: datetime | None
    publishing: bool


@dataclass(frozen=True)
class AtlasView:
    """`latest` is the number of the newest version that was published, None before the first. `outdated`: the
    network has other weights now, so that nothing can be added. `problem` is why workers could not carry out
    what is wanted. `rate` is pictures a second over about the last minute.
    """

    id: str
    name: str
    network: str
    owner_key_id: str | None
    visibility: Visibility
    state: AtlasState
    open: Version
    latest: int | None
    pictures: Pictures
    layer_count: int
    rate: float | None
    eta: Seconds | None
    errors: tuple[ErrorSummary, ...]
    outdated: bool
    problem: str | None
    created_at: datetime

    @property
    def ended(self) -> bool:
        """Whether nothing of it is going on or to come."""
        return self.state not in GOING_ON


@dataclass(frozen=True)
class _Counted:
    """What tells the states of some atlases, by their numbers, and by the ids of their networks."""

    asked: Mapping[int, Any]
    counts: Mapping[int, Any]
    open: Mapping[int, AtlasVersionRow]
    networks: Mapping[str, Any]

    def pictures(self, row: AtlasRow, held: int = 0) -> Pictures:
        """Those of an atlas; `held`: so many of them workers have."""
        asked = self.asked.get(row.no)
        total = (int(asked.total) if asked else 0) * candidates_of(self.open[row.no].request)
        return _pictures(self.counts.get(row.no), total, held)

    def is_planned(self, row: AtlasRow) -> bool:
        """Whether all of it has jobs."""
        asked = self.asked.get(row.no)
        return asked is None or not asked.unexpanded

    def is_outdated(self, row: AtlasRow) -> bool:
        """Whether its network is not the one any more that it shows."""
        network, shown = self.networks.get(row.network_id), self.open[row.no].network_sha256
        return bool(network is None or network.spec_sha256 != shown)

    def problem(self, row: AtlasRow) -> str | None:
        """Why what is left of it cannot be planned."""
        network = self.networks.get(row.network_id)
        if self.is_planned(row) or network is None or network.state != "failed":
            return None
        return (
            f"The network {network.id} cannot be used: {network.error} Register it again once that is mended."
        )

    def state(self, row: AtlasRow) -> AtlasState:
        """What goes on with an atlas."""
        if row.wish == AtlasWish.PAUSE:
            return AtlasState.PAUSED
        if row.wish == AtlasWish.CANCEL:
            return AtlasState.CANCELED
        if not self.is_planned(row):
            # What is not planned of a network that has changed never will be.
            ends = self.is_outdated(row) and not self.pictures(row).queued
            return AtlasState.CANCELED if ends else AtlasState.PLANNING
        counts = self.counts.get(row.no)
        ended = self.pictures(row).ended and row.retry_after is None and not (counts and counts.undecided)
        return AtlasState.COMPLETE if ended else AtlasState.BUILDING


@dataclass(frozen=True)
class _Read:
    """What else a view tells, by the numbers of atlases, or by their ids."""

    counted: _Counted
    latest: Mapping[int, int]
    problems: Mapping[str, str]


def layers(session: Session, row: AtlasRow) -> list[AtlasLayer]:
    """Its layers, in the order of the network."""
    held = _held(session, row, forecast.held(session))
    counts = {found.layer_no: found for found in session.execute(_COUNTS, {"no": row.no})}
    candidates = candidates_of(open_version(session, row.no).request)
    return [
        _layer(layer, counts.get(layer.layer_no), held[layer.layer_no], candidates)
        for layer in layer_rows(session, row)
    ]


def layer_rows(session: Session, row: AtlasRow) -> Sequence[AtlasLayerRow]:
    """The rows of its layers, in the order of the network."""
    query = sa.select(AtlasLayerRow).where(AtlasLayerRow.atlas_no == row.no)
    return session.scalars(query.order_by(AtlasLayerRow.ordinal, AtlasLayerRow.layer_no)).all()


def views(session: Session, rows: Sequence[AtlasRow]) -> list[AtlasView]:
    """The atlases as they stand: read together, so that a list of them costs about what one does."""
    if not rows:
        return []
    read = _read(session, rows)
    # Of what does not go on the queue says nothing.
    goes_on = any(read.counted.state(row) in GOING_ON for row in rows)
    queue = forecast.read(session) if goes_on else None
    return [_view(session, row, read, queue) for row in rows]


def states(session: Session, rows: Sequence[AtlasRow]) -> Mapping[int, AtlasState]:
    """What goes on with each, by its number, without what else a view tells."""
    counted = _counted(session, rows)
    return {row.no: counted.state(row) for row in rows}


def _counted(session: Session, rows: Sequence[AtlasRow]) -> _Counted:
    nos = {"nos": [row.no for row in rows]}
    open_versions = sa.select(AtlasVersionRow).where(
        AtlasVersionRow.atlas_no.in_(nos["nos"]), AtlasVersionRow.published_at.is_(None)
    )
    networks = sa.select(NetworkRow.id, NetworkRow.spec_sha256, NetworkRow.state, NetworkRow.error)
    networks = networks.where(NetworkRow.id.in_({row.network_id for row in rows}))
    return _Counted(
        {found.atlas_no: found for found in session.execute(_ASKED, nos)},
        {found.atlas_no: found for found in session.execute(_ALL_COUNTS, nos)},
        {found.atlas_no: found for found in session.scalars(open_versions)},
        {found.id: found for found in session.execute(networks)},
    )


def _read(session: Session, rows: Sequence[AtlasRow]) -> _Read:
    nos = {"nos": [row.no for row in rows]}
    return _Read(
        _counted(session, rows),
        {found.atlas_no: found.number for found in session.execute(_LATEST, nos)},
        chores.problems(session, EXPAND, [row.id for row in rows]),
    )


def _view(session: Session, row: AtlasRow, read: _Read, queue: Queue | None) -> AtlasView:
    asked, being_built = read.counted.asked.get(row.no), read.counted.open[row.no]
    held = _held(session, row, queue.held) if queue else Counter()
    pictures, state = read.counted.pictures(row, held.total()), read.counted.state(row)
    goes_on, planned = state in GOING_ON, read.counted.is_planned(row)
    return AtlasView(
        row.id,
        row.name,
        row.network_id,
        row.owner_key_id,
        Visibility(row.visibility),
        state,
        version_view(being_built),
        read.latest.get(row.no),
        pictures,
        asked.layers if asked else 0,
        _rate(session, row) if goes_on else None,
        _eta(session, row, queue, planned=planned) if queue and goes_on else None,
        _errors(session, row) if pictures.failed else (),
        read.counted.is_outdated(row),
        read.problems.get(row.id) or read.counted.problem(row),
        row.created_at,
    )


def version_view(row: AtlasVersionRow) -> Version:
    """A version as readers see it."""
    return Version(
        row.number,
        row.request,
        row.network_sha256,
        row.generator_id,
        row.layers,
        row.created_at,
        row.published_at,
        row.publishing is not None,
    )


def _layer(row: AtlasLayerRow, counts: Any, held: int, candidates: int) -> AtlasLayer:
    return AtlasLayer(
        row.layer,
        row.ordinal,
        row.units,
        row.unit_count,
        row.facets,
        row.making["technique"],
        row.making["parameters"],
        row.making["generator"],
        _pictures(counts, row.unit_count * row.facets * candidates, held),
    )


def _pictures(counts: Any, total: int, held: int) -> Pictures:
    names = ("expanded", "done", "failed", "unreachable", "canceled")
    counted = {name: int(getattr(counts, name) or 0) for name in names} if counts else {}
    return Pictures(total=total, leased=held, **counted)


def _held(session: Session, row: AtlasRow, held: Mapping[str, int]) -> Counter[int]:
    """How many pictures of each layer workers have, told by how many they have of each job."""
    found: Counter[int] = Counter()
    if held:
        for job in session.execute(_THEIR_LAYERS, {"no": row.no, "ids": list(held)}):
            found[job.layer_no] += held[job.id]
    return found


def _rate(session: Session, row: AtlasRow) -> float | None:
    found = session.execute(_RATE, {"no": row.no, "window": rates.WINDOW_SECONDS}).one()
    since = found.since or row.created_at
    return rates.current(found.rate, None if found.rate is None else found.now, since, found.now)


def _eta(session: Session, row: AtlasRow, queue: Queue, *, planned: bool) -> Seconds | None:
    """Until the last picture has ended: that of the last job, or of what has no job yet and comes after."""
    if planned:
        last = session.scalars(
            sa.select(JobRow)
            .where(JobRow.atlas_no == row.no, JobRow.state.in_(LIVE_JOBS))
            .order_by(JobRow.turn.desc())
            .limit(1)
        ).first()
        return None if last is None else queue.until_done(forecast.waiting(last))
    candidates = candidates_of(open_version(session, row.no).request)
    parts = [
        Part(
            kind_kept(row.network_id, layer),
            (layer.unit_count * layer.facets - layer.expanded) * candidates,
        )
        for layer in layer_rows(session, row)
        if layer.expanded < layer.unit_count * layer.facets
    ]
    turn = next_turn(session, Lane.BULK, row.owner_key_id)
    known = forecast.with_costs(session, queue, [part.kind for part in parts])
    left = sum(part.items for part in parts)
    return known.until_done(Waiting(row.id, Lane.BULK, turn, turn + left, left, parts))


def kind_kept(network: str, row: AtlasLayerRow) -> Kind:
    """What the pictures of a layer cost by."""
    parameters = row.making["parameters"]
    return Kind(
        row.making["batch_key"],
        network,
        row.ordinal,
        row.making["generator"],
        row.making["technique"],
        int(parameters["steps"]),
        parameters.get("input_size"),
    )


def _errors(session: Session, row: AtlasRow) -> tuple[ErrorSummary, ...]:
    found = [
        ErrorSummary(error.code, int(error.items), error.message)
        for error in session.execute(_ERRORS, {"no": row.no})
    ]
    return tuple(sorted(found, key=lambda error: (-error.count, error.code)))
