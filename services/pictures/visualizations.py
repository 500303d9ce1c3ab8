"""Visualizations: one by digest, many by network, layer and unit, and the best of a unit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from imago_engine.objectives import Objective, objective_at
from imago_engine.specs import Spec
from services.base.errors import Invalid, NotFound
from services.base.paging import Key, Keyset, Page
from services.base.states import LIVE_JOBS, Lane, State
from services.catalog.layers import current_sha256, get_layer, get_unit, labels_of_layers
from services.catalog.networks import get_network
from services.catalog.tables import GeneratorRow
from services.estimates.cost_model import Seconds
from services.jobs import progress
from services.jobs.tables import JobRow, JobVisualizationRow
from services.pictures import artifacts
from services.pictures.artifacts import StoredArtifact
from services.pictures.best import BEST_FIRST
from services.pictures.tables import RecipeRow, VisualizationRow

_JOBS_LOOKED_AT = 5
_KEY = (
    VisualizationRow.network_id,
    VisualizationRow.layer,
    VisualizationRow.unit,
    VisualizationRow.digest,
)


_OF_THIS_SERVICE = ("worker", "lease")


@dataclass(frozen=True)
class Visualization:
    """`spec.digest` equals `digest`. What follows `error` is set once it is done, but for the times.

    `label` is the name of the class, for units of the output layer; `generator` None for a technique that
    needs none; `crop_box` (left, top, right, bottom) in pixels of the image. `artifacts` are by their kinds,
    the image always among those of a picture that is done.
    """

    digest: str
    spec: Spec
    label: str | None
    generator: str | None
    state: State
    lane: Lane
    attempt: int
    error: Mapping[str, Any] | None
    activation: float | None
    score: float | None
    predictions: Sequence[Any] | None
    artifacts: Mapping[str, StoredArtifact]
    crop_box: tuple[int, ...] | None
    provenance: Mapping[str, Any] | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def objective(self) -> Objective:
        """The spec's."""
        return self.spec.objective


@dataclass(frozen=True)
class Objects:
    """Of a visualization only what leads to its bytes: its artifacts, or why there are none."""

    digest: str
    state: State
    error: Mapping[str, Any] | None
    artifacts: Mapping[str, StoredArtifact]


def objects_of(session: Session, digest: str) -> Objects:
    """One row, by its key, and its artifacts. Raises `NotFound`."""
    row = session.execute(_OBJECTS.where(VisualizationRow.digest == digest)).first()
    if row is None:
        raise NotFound("visualization", digest)
    return Objects(
        digest=row.digest, state=State(row.state), error=row.error, artifacts=artifacts.listed(row.artifacts)
    )


_OBJECTS = sa.select(
    VisualizationRow.digest,
    VisualizationRow.state,
    VisualizationRow.error,
    artifacts.LISTED.label("artifacts"),
)


def get(session: Session, digest: str) -> Visualization:
    """Raises `NotFound`."""
    found = _views(session, _query().where(VisualizationRow.digest == digest))
    if not found:
        raise NotFound("visualization", digest)
    return found[0]


def of_digests(session: Session, digests: Collection[str]) -> dict[str, Visualization]:
    """Those that there are of these, by their digests."""
    query = _query().where(VisualizationRow.digest.in_(digests))
    return {found.digest: found for found in _views(session, query)} if digests else {}


def search(
    session: Session,
    *,
    network: str | None = None,
    layer: str | None = None,
    unit: int | None = None,
    state: str | None = None,
    or_former: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Visualization]:
    """Visualizations by network, layer, unit and digest; each filter needs the ones before it, `state` none.
    `or_former` is as for `get_layer`.

    Raises `Invalid` for wrong filters, cursor or limit, `NotFound` for a network or layer that is not there.
    """
    query = _query()
    if network is not None:
        get_network(session, network)
        query = query.where(VisualizationRow.network_id == network)
    if layer is not None:
        if network is None:
            raise Invalid.field("/layer", "needs a network beside it")
        found = get_layer(session, network, layer, or_former=or_former)
        query = query.where(VisualizationRow.layer == found.name)
    if unit is not None:
        if layer is None:
            raise Invalid.field("/unit", "needs a layer beside it")
        if not 0 <= unit < 2**31:
            raise Invalid.field("/unit", f"must be 0 or more; got {unit}")
        query = query.where(VisualizationRow.unit == unit)
    if state is not None:
        if state not in tuple(State):
            raise Invalid.field("/state", f"must be one of {', '.join(State)}; got {state!r}")
        # Spelled out in the statement, so that the planner sees that a partial index has what is looked for.
        query = query.where(VisualizationRow.state == sa.literal(state, literal_execute=True))

    def read(after: Key | None, most: int) -> Sequence[Visualization]:
        following = sa.true() if after is None else sa.tuple_(*_KEY) > sa.tuple_(*after)
        return _views(session, query.where(following).order_by(*_KEY).limit(most))

    return Keyset("visualizations", (str, str, int, str)).page(cursor, limit, read, _key)


def _key(found: Visualization) -> Key:
    return [found.spec.network, found.objective.layer, found.objective.unit, found.digest]


def best(session: Session, network: str, layer: str, unit: int) -> Visualization | None:
    """The done visualization that the network finds best, see `BEST_FIRST`. Also of a unit whose layer
    another inspection has dropped: others embed the address of its picture.

    None where no picture is done. Raises `NotFound` where there never was such a unit.
    """
    found = get_unit(session, network, layer, unit, or_former=True)
    chosen = (
        _query()
        .where(VisualizationRow.network_id == network, VisualizationRow.layer == found.layer)
        .where(VisualizationRow.unit == unit, VisualizationRow.state == State.DONE)
        .where(VisualizationRow.network_sha256 == current_sha256(network))
        .order_by(*BEST_FIRST)
        .limit(1)
    )
    return next(iter(_views(session, chosen)), None)


def best_digests(session: Session, network: str, layer: str, units: Collection[int]) -> dict[int, str]:
    """The best picture of each of these units that has one, as `best` finds it; by the layer's own name."""
    row = VisualizationRow
    query = (
        sa.select(row.unit, row.digest)
        .ext(distinct_on(row.unit))
        .where(row.network_id == network, row.layer == layer, row.unit.in_(units))
        .where(row.state == State.DONE, row.network_sha256 == current_sha256(network))
        .order_by(row.unit, *BEST_FIRST)
    )
    return dict(iter(session.execute(query))) if units else {}


_Row = tuple[VisualizationRow, str | None, RecipeRow, Any]


def _query() -> sa.Select[*_Row]:
    return (
        sa.select(VisualizationRow, GeneratorRow.weights_sha256, RecipeRow, artifacts.LISTED)
        .outerjoin(GeneratorRow, GeneratorRow.id == VisualizationRow.generator_id)
        .join(RecipeRow, RecipeRow.digest == VisualizationRow.recipe_digest)
        .execution_options(populate_existing=True)
    )


def _views(session: Session, query: sa.Select[*_Row]) -> list[Visualization]:
    rows = session.execute(query).all()
    labels = labels_of_layers(session, {(row.network_id, row.layer) for row, *_ in rows})
    found = []
    for row, generator_sha256, recipe, stored in rows:
        y, x = row.position_y, row.position_x
        position = None if y is None or x is None else (y, x)
        spec = Spec(
            network=row.network_id,
            network_sha256=row.network_sha256,
            objective=objective_at(row.layer, row.unit, position=position, token=row.token),
            technique=recipe.technique,
            parameters=recipe.parameters,
            seed=row.seed,
            version=row.engine,
            source=generator_sha256,
        )
        found.append(_view(row, spec, labels.get((row.network_id, row.layer), ()), artifacts.listed(stored)))
    return found


def _view(
    row: VisualizationRow, spec: Spec, labels: Sequence[str], stored: Mapping[str, StoredArtifact]
) -> Visualization:
    return Visualization(
        digest=row.digest,
        spec=spec,
        label=labels[row.unit] if row.unit < len(labels) else None,
        generator=row.generator_id,
        state=State(row.state),
        lane=Lane(row.lane),
        attempt=row.attempt,
        error=row.error,
        activation=row.activation,
        score=row.score,
        predictions=row.predictions,
        artifacts=stored,
        crop_box=None if row.crop_box is None else tuple(row.crop_box),
        provenance=_told(row.provenance),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _told(provenance: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What a row says of where its picture comes from, without what tells of the service's own machines, or
    that it is one of an atlas which may be private: atlases share pictures, and say themselves what they are
    made of."""
    if provenance is None:
        return None
    told = {name: value for name, value in provenance.items() if name not in _OF_THIS_SERVICE}
    if isinstance(imported := told.get("imported"), Mapping):
        told["imported"] = {name: value for name, value in imported.items() if name == "changed"}
    return told


def eta(session: Session, digest: str) -> Seconds | None:
    """When the picture will be there at the latest, with the first of the jobs that want it; None where
    nothing tells it. Looks at a few of those jobs only.
    """
    wanted = (
        sa.select(JobRow)
        .join(JobVisualizationRow, JobVisualizationRow.job_id == JobRow.id)
        .where(JobVisualizationRow.digest == digest, JobRow.state.in_(LIVE_JOBS))
        .order_by(JobRow.lane == Lane.BULK, JobRow.turn)
        .limit(_JOBS_LOOKED_AT)
    )
    found = [view.eta for view in progress.views(session, session.scalars(wanted).all()) if view.eta]
    return min(found, key=lambda eta: eta.likely) if found else None
