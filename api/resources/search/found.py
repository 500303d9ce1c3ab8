"""Search: units by what is seen in their pictures, by likeness, and by what a photograph excites."""

from sqlalchemy.orm import Session

from api.context import context
from api.http.waiting import preferred_wait, wait_for
from api.openapi import examples
from api.operations.answers import Answer, accepted
from api.operations.operation import ApiBlueprint, Tag
from api.operations.pagination import shown_page
from api.resources.networks import TAG as NETWORKS_TAG
from api.schemas.jobs import PreferHeaders
from api.schemas.networks import UnitPath
from api.schemas.search.excitations import (
    AskExcitation,
    Excitation,
    ExcitationPath,
    ExcitationQuery,
)
from api.schemas.search.found import (
    Change,
    ChangePage,
    ChangesQuery,
    FoundUnit,
    FoundUnitPage,
    LabelList,
    LabelQuery,
    Neighbour,
    NeighbourQuery,
    Neighbours,
    UnitSearchQuery,
)
from imago_engine.weights import EYE
from services.base.errors import Invalid
from services.base.states import Lane
from services.exemplars import percentiles
from services.search import (
    changes,
    dead_units,
    excitations,
    indexing,
    labels,
    neighbours,
    without_pictures,
)

TAG = Tag(name="Search", description="Units by what their pictures show: by words, likeness, photographs.")
LOOK_SECONDS = 2
"""About how long a worker looks at a photograph."""

blueprint = ApiBlueprint("search", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation("GET", "/search/units", scope="read", responses={200: FoundUnitPage})
def search_units(session: Session, query: UnitSearchQuery) -> Answer:
    """Find units by what their network sees in their pictures, or those that nothing excites.

    With `label` those whose pictures are seen as that class, the most probable first, each by the picture
    that says it most. With `state=unreachable` those of which no picture can exist, with `state=dead` those
    that no real picture excites which was scanned, by name.
    """
    if (query.label is None) == (query.state is None):
        raise Invalid.field("/label", "or `state` must be given, and only one of them")
    network, layer, cursor, limit = query.network, query.layer, query.cursor, query.limit
    if query.state == "dead":
        dead = dead_units.dead(session, network=network, layer=layer, cursor=cursor, limit=limit)
        standing = percentiles.of_pictures(session, {unit.digest for unit in dead.data if unit.digest})
        return shown_page(FoundUnitPage, dead.map(lambda unit: FoundUnit.dead(unit, standing)), complete=True)
    if query.label is None:
        found = without_pictures.unreachable(
            session, network=network, layer=layer, cursor=cursor, limit=limit
        )
        return shown_page(FoundUnitPage, found.map(FoundUnit.unreachable), complete=True)
    said = labels.saying(
        session,
        query.label,
        network=network,
        layer=layer,
        min_percentile=query.min_percentile,
        cursor=cursor,
        limit=limit,
    )
    complete = not indexing.lacks(session, network, layer)
    standing = percentiles.of_pictures(session, {unit.digest for unit in said.data})
    return shown_page(
        FoundUnitPage, said.map(lambda unit: FoundUnit.saying(unit, standing)), complete=complete
    )


@blueprint.operation("GET", "/search/labels", scope="read", responses={200: LabelList})
def search_labels(session: Session, query: LabelQuery) -> LabelList:
    """Complete the beginning of a label."""
    return LabelList(data=list(labels.beginning(session, query.prefix, query.network)))


@blueprint.operation("GET", "/search/changes", scope="read", responses={200: ChangePage})
def search_changes(session: Session, query: ChangesQuery) -> Answer:
    """Compare a layer with that of another network, unit by unit: the most changed first.

    For networks whose units mean the same, such as two checkpoints of one training.
    """
    found = changes.changes(
        session,
        query.network,
        query.layer,
        query.other,
        other_layer=query.other_layer,
        cursor=query.cursor,
        limit=query.limit,
    )
    return shown_page(
        ChangePage,
        found.page.map(lambda change: Change.of(change, query.network, query.layer)),
        complete=found.complete,
    )


@blueprint.operation(
    "GET",
    "/networks/<network>/layers/<layer>/units/<unit>/neighbours",
    scope="read",
    responses={200: Neighbours},
    tag=NETWORKS_TAG,
)
def get_neighbours(session: Session, path: UnitPath, query: NeighbourQuery) -> Neighbours:
    """List the units whose pictures look most like a unit's, within its layer, its network, or everywhere."""
    found = neighbours.neighbours(
        session,
        path.network,
        path.layer,
        path.unit,
        within=query.within,
        digest=query.digest,
        limit=query.limit if query.min_percentile is None else neighbours.MOST,
    )
    standing = percentiles.of_pictures(session, {neighbour.digest for neighbour in found.data})
    least = query.min_percentile
    shown = [
        Neighbour.of(neighbour, standing)
        for neighbour in found.data
        if least is None or standing.get(neighbour.digest, -1) >= least
    ][: query.limit]
    return Neighbours(digest=found.digest, eye=EYE, data=shown, complete=found.complete)


@blueprint.operation(
    "POST",
    "/search/excitations",
    scope="jobs:write",
    responses={200: Excitation, 202: Excitation},
    example=examples.EXCITATION_BODY,
)
def ask_excitation(header: PreferHeaders, body: AskExcitation) -> Answer:
    """Ask what a photograph excites: which units of a layer respond, and whose pictures look like it.

    A worker looks at it, before all other work: 202 until then, or 200 if that was within the time of
    `Prefer: wait`. The photograph is forgotten then, the answer after an hour.
    """
    with context().database.session() as session:
        asked = excitations.ask(session, body.network, body.layer, body.photograph)
    context().doorbell.ring(Lane.INTERACTIVE)
    shown = Excitation.of(_wait(asked, header))
    return accepted(shown, LOOK_SECONDS if shown.state == "queued" else None, shown.links.self)


@blueprint.operation("GET", "/search/excitations/<excitation>", scope="read", responses={200: Excitation})
def get_excitation(path: ExcitationPath, query: ExcitationQuery, header: PreferHeaders) -> Answer:
    """Get what a photograph excites, as it stands or with `Prefer: wait` as soon as a worker has looked."""
    found = _wait(_get(path.excitation), header)
    headers = {"Vary": "Prefer"} if found.ended else {"Vary": "Prefer", "Retry-After": str(LOOK_SECONDS)}
    return Answer(Excitation.of(found, query.min_percentile), headers=headers)


def _get(id: str) -> excitations.Excitation:
    with context().database.session() as session:
        return excitations.get(session, id)


def _wait(asked: excitations.Excitation, header: PreferHeaders) -> excitations.Excitation:
    seconds = preferred_wait(header.prefer)
    if asked.ended or not seconds:
        return asked
    return wait_for(
        lambda: _get(asked.id), lambda seen: seen.ended, seconds, context().waits, context().stopping
    )
