"""Two versions of atlases side by side: a figure a layer, the units that changed most, pictures of these."""

from http import HTTPStatus

from sqlalchemy.orm import Session

from api.auth import reader
from api.context import context
from api.http import sheets as answers
from api.http.caching import PERSONAL, Freshness
from api.http.objects import StoredObject
from api.http.waiting import preferred_wait, wait_for
from api.operations.answers import Answer
from api.operations.operation import ApiBlueprint, stored
from api.operations.pagination import shown_page
from api.problems import problem_types
from api.problems.problems import Problem
from api.resources.search.found import TAG
from api.schemas.jobs import PreferHeaders
from api.schemas.search.compare import (
    ComparedLayerQuery,
    ComparedUnit,
    ComparedUnitPage,
    ComparedUnitsQuery,
    CompareQuery,
    Comparison,
)
from services.base.states import Lane
from services.comparison import compared_units, comparisons
from services.pictures.losses import Subject

AGAIN_SECONDS = 2
"""When to ask again for what is being compared."""
_LASTING_SECONDS = 3600

blueprint = ApiBlueprint("compare", __name__, url_prefix="/v1", tag=TAG)


@blueprint.operation(
    "GET", "/compare", scope="read", responses={200: Comparison, 202: Comparison}, freshness=PERSONAL
)
def compare_atlases(query: CompareQuery, header: PreferHeaders) -> Answer:
    """Compare two versions of atlases.

    Of checkpoints of one network, other recipes or generators, or networks with like layers: units are
    matched by layer and number, and compared by the best picture that each version has of them. Workers do
    it: 202 until it is done, or 200 if that was within the time of `Prefer: wait`. It is done again when
    something has changed.
    """
    found = _find(query)
    if not found.current:
        context().doorbell.ring(Lane.BULK)
    seconds = preferred_wait(header.prefer)
    if found.made_at is None and seconds:
        found = wait_for(
            lambda: _find(query),
            lambda seen: seen.made_at is not None,
            seconds,
            context().waits,
            context().stopping,
        )
    if found.made_at is not None:
        return Answer(Comparison.of(found), headers={"Vary": "Prefer"})
    again = {"Vary": "Prefer", "Retry-After": str(AGAIN_SECONDS)}
    return Answer(Comparison.of(found), HTTPStatus.ACCEPTED, headers=again)


@blueprint.operation(
    "GET", "/compare/units", scope="read", responses={200: ComparedUnitPage}, freshness=PERSONAL
)
def list_compared_units(session: Session, query: ComparedUnitsQuery) -> Answer:
    """List the units of a layer that two versions of atlases have in common, the most changed first.

    Each with both pictures, how strongly they excite it, and what the networks see in them.
    """
    found = comparisons.find(session, query.a, query.b, by=reader())
    layer = found.layer(query.layer)
    page = compared_units.page(session, found, layer, query.cursor, query.limit)
    return shown_page(ComparedUnitPage, page.map(ComparedUnit.of), complete=layer.figures is not None)


@blueprint.operation(
    "GET",
    "/compare/sheet.jpg",
    scope="read",
    responses=stored(answers.MEDIA_TYPE, "The picture."),
)
def get_compared_sheet(query: ComparedLayerQuery) -> StoredObject:
    """Get a picture of the most changed units of a layer: pairs, a left and b right."""
    found = _find(query)
    layer = found.layer(query.layer)
    if layer.sheet_object is None:
        context().doorbell.ring(Lane.BULK)
        waits = layer.figures is None or layer.figures["matched"]
        raise Problem(
            problem_types.NO_PICTURE,
            (found.problem or "The layer is being compared.")
            if waits
            else "No unit of it could be compared.",
            headers={"Retry-After": str(AGAIN_SECONDS)} if waits else {},
        )
    public = found.a.public and found.b.public
    return StoredObject(
        layer.sheet_object,
        f"{layer.layer}-compared.jpg",
        Subject("pairs", f"{found.no}/{layer.ordinal}"),
        Freshness(_LASTING_SECONDS, is_personal=not public) if _lasts(found, query) else PERSONAL,
    )


def _find(query: CompareQuery) -> comparisons.Comparison:
    with context().database.session() as session:
        return comparisons.find(session, query.a, query.b, by=reader())


def _lasts(found: comparisons.Comparison, query: CompareQuery) -> bool:
    """Whether the address names numbers of versions that were published."""
    return found.settled and all(named.rpartition("@")[2].isdigit() for named in (query.a, query.b))
