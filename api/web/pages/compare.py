"""Two versions of atlases side by side: a figure a layer, and pairs of pictures, the most changed first."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import reader, requires
from api.context import context
from api.operations.pagination import next_path
from api.schemas.search.compare import ComparedLayer, ComparedUnit, Comparison
from api.web.site import blueprint, page
from api.web.small_pictures import small_among
from services.atlases import atlases
from services.atlases.atlases import LATEST
from services.base.states import Lane
from services.comparison import compared_units, comparisons

PAIRS_A_PAGE, _CHOICES = 60, 100


@dataclass(frozen=True)
class Choice:
    """A version of an atlas that can be compared."""

    named: str
    """`ATLAS@VERSION`."""
    title: str
    network: str

    @property
    def atlas(self) -> str:
        """The id of its atlas."""
        return self.named.partition("@")[0]


@blueprint.get("/compare")
@requires("read")
def compare() -> Response:
    """What changed between the versions `a` and `b`, and the pairs of a `layer`; without them, what can be
    compared."""
    a, b = request.args.get("a", ""), request.args.get("b", "")
    with context().database.session() as session:
        choices = choices_of(session)
        if not a or not b:
            return _choose(session, choices, a, b)
        found = comparisons.find(session, a, b, by=reader())
        shown = Comparison.of(found)
        chosen = _chosen(shown.layers, request.args.get("layer"))
        pairs, following = [], None
        if chosen is not None:
            units = compared_units.page(
                session, found, found.layer(chosen.layer), request.args.get("cursor"), PAIRS_A_PAGE
            )
            pairs, following = [ComparedUnit.of(unit) for unit in units.data], units.next_cursor
        small = small_among(session, [one.digest for pair in pairs for one in (pair.a, pair.b)])
    if not found.current:
        context().doorbell.ring(Lane.BULK)
    return page(
        "compare/compare.html",
        section="compare",
        choices=choices,
        a=f"{shown.a.atlas}@{shown.a.version}",
        b=f"{shown.b.atlas}@{shown.b.version}",
        comparison=shown,
        widest=max(_means(shown.layers), default=0.0),
        chosen=chosen,
        pairs=pairs,
        small=small,
        next=next_path(following) if following else None,
    )


def _choose(session: Session, choices: Sequence[Choice], a: str, b: str) -> Response:
    """Choose what is compared: what one side is already with the newest other one."""
    given = [_choice(session, named) if named else None for named in (a, b)]
    known = {choice.named: choice for choice in (*filter(None, given), *choices)}
    present = [None if choice is None else choice.named for choice in given]
    for at in (0, 1):
        if present[at] is None:
            present[at] = next((named for named in known if named != present[1 - at]), None)
    return page(
        "compare/choose.html", section="compare", choices=[*known.values()], a=present[0], b=present[1]
    )


def _choice(session: Session, named: str) -> Choice:
    """What `ATLAS` or `ATLAS@VERSION` names, by the version's number. Raises `NotFound` or `Invalid`."""
    id, _, number = named.partition("@")
    atlas = atlases.get(session, id, by=reader())
    version = atlases.version(session, id, number or LATEST, by=reader())
    said = f"version {version.number}" if version.published_at else "not published"
    return Choice(f"{id}@{version.number}", f"{atlas.name}, {said}", atlas.network)


def _chosen(layers: Sequence[ComparedLayer], named: str | None) -> ComparedLayer | None:
    """The layer of that name, else the one that changed most; None where nothing has been compared."""
    for layer in layers:
        if named in (layer.layer, layer.other_layer):
            return layer
    return max(layers, key=_mean, default=None)


def _mean(layer: ComparedLayer) -> float:
    """How much it changed, −1 where nothing of it could be compared."""
    if layer.figures is None or layer.figures.distance is None:
        return -1.0
    return layer.figures.distance.mean


def _means(layers: Sequence[ComparedLayer]) -> Sequence[float]:
    return [_mean(layer) for layer in layers]


def choices_of(session: Session, limit: int = _CHOICES) -> Sequence[Choice]:
    """What can be compared: the `limit` newest atlases that the visitor sees, each as it was last published,
    and as it is being built where that is more."""
    choices: list[Choice] = []
    for atlas in atlases.to_choose_from(session, by=reader(), limit=limit):
        if atlas.latest is not None:
            title = f"{atlas.name}, version {atlas.latest}"
            choices.append(Choice(f"{atlas.id}@{atlas.latest}", title, atlas.network))
        if atlas.latest is None or atlas.is_built:
            choices.append(Choice(f"{atlas.id}@{atlas.open}", f"{atlas.name}, not published", atlas.network))
    return choices
