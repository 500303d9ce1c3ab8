"""Search: `/search?q=` for labels and names, `?like=` for units like one, and photographs that are sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import chain

from flask import Response, request
from sqlalchemy.orm import Session

from api.auth import requires
from api.context import context
from api.operations.pagination import next_path
from api.web.addresses import Parameter, ServerAddresses
from api.web.captions import captions
from api.web.network_choice import network_choice
from api.web.pages.search import photographs
from api.web.pages.search.named import Place, named
from api.web.pages.search.photographs import Answered
from api.web.site import blueprint, page, see
from api.web.small_pictures import small_among
from services.base.errors import FieldError, Invalid, NotFound
from services.catalog.layers import get_unit
from services.search import indexing, labels, neighbours
from services.search.labels import Said
from services.search.neighbours import Neighbour, Neighbours, NotIndexed, Within

PAGE = 60
_SHOWN: Mapping[str, bool | None] = {"all": None, "hidden": True, "output": False}
_TITLES = {"all": "all units", "hidden": "hidden units", "output": "units of the output"}


@dataclass(frozen=True)
class Query:
    """What is looked for. `show` is one of `all`, `hidden` and `output`."""

    text: str
    network: str | None
    show: str
    within: Within

    @classmethod
    def asked(cls) -> "Query":
        """By this request. What is not known is as if it were not said."""
        given = request.args
        within = given.get("within", Within.ALL)
        return cls(
            " ".join(given.get("q", "").split())[:200],
            given.get("network") or request.form.get("network") or None,
            given.get("show", "all") if given.get("show") in _SHOWN else "all",
            Within(within) if within in tuple(Within) else Within.ALL,
        )


@dataclass(frozen=True)
class Results:
    """What was found. `said` are units by a label, `near` labels that may be meant by a word that is none,
    `places` what a name may mean, `alike` units like `like`, which the class `label` belongs to if it is one
    of an output, and of which `picture` is the digest of the picture that the others are like: `chosen` where
    the address names one, else its best."""

    said: Sequence[Said] = ()
    next: str | None = None
    near: Sequence[str] = ()
    places: Sequence[Place] = ()
    problem: str | None = None
    like: Place | None = None
    label: str | None = None
    picture: str | None = None
    chosen: str | None = None
    alike: Neighbours | None = None
    answers: Sequence[Answered] = ()
    is_complete: bool = True
    some: Sequence[str] = field(default_factory=tuple)

    @property
    def layers(self) -> Collection[tuple[str, str]]:
        """Of all units that are shown: pairs of a network and a layer."""
        alike = () if self.alike is None else self.alike.data
        found = {(each.network, each.layer) for each in chain[Said | Neighbour](self.said, alike)}
        return found | {(answer.asked.network, answer.asked.layer) for answer in self.answers}

    @property
    def digests(self) -> Sequence[str]:
        """Of all pictures that are shown."""
        alike = () if self.alike is None else self.alike.data
        return [
            *filter(None, [self.picture]),
            *(found.digest for found in self.said),
            *(found.digest for found in alike),
            *(digest for answer in self.answers for digest in answer.digests),
        ]


@blueprint.get("/search")
@requires("read")
def search() -> Response:
    """Results, or what can be searched for."""
    return _page()


@blueprint.post("/search")
@requires("jobs:write")
def search_by_photograph() -> Response:
    """Have a photograph looked at, and lead to what it excites."""
    try:
        asked = photographs.ask()
    except Invalid as error:
        return _page(error.errors)
    return see(ServerAddresses().page("search", photograph=",".join(asked)) + "#main")


def _page(errors: Sequence[FieldError] = ()) -> Response:
    query = Query.asked()
    with context().database.session() as session:
        choice = network_choice(session, query.network)
        results = _results(session, query, None if choice.is_known else choice.error)
        if len(results.places) == 1 and not results.problem:
            return see(_address(results.places[0]))
        small = small_among(session, results.digests)
        called = captions(session, results.layers, results.digests)
        is_settled = query.network is not None or len(choice.networks) == 1
        layers = photographs.layers_of(session, choice.chosen) if is_settled and not choice.error else []
    wrong = {error.pointer.lstrip("/"): error.detail for error in errors}
    if "layer" in wrong and not layers:
        wrong["network"] = wrong.pop("layer")  # there is no such field to say it beside
    if choice.error:
        wrong["network"] = choice.error
    is_coming = any(not answer.asked.ended for answer in results.answers)
    return page(
        "search/search.html",
        section="search",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK,
        query=query,
        networks=choice.networks,
        layers=layers,
        results=results,
        small=small,
        captions=called,
        place_address=_address,
        shows=_TITLES,
        scopes=((Within.LAYER, "its layer"), (Within.NETWORK, "its network"), (Within.ALL, "all networks")),
        is_coming=is_coming,
        errors=wrong,
        is_allowed=photographs.is_allowed(),
    )


def _results(session: Session, query: Query, problem: str | None) -> Results:
    """`problem`: that there is no network of the name."""
    if ids := request.args.get("photograph"):
        return Results(answers=photographs.answers(session, ids.split(",")))
    if like := request.args.get("like"):
        return _alike(session, query, like)
    if not query.text:
        return Results(some=labels.some_labels(session))
    if problem:
        return Results(problem=problem)
    found = named(session, query.text, query.network)
    if found.places or found.problem:
        return Results(places=found.places, problem=found.problem)
    return _saying(session, query)


def _saying(session: Session, query: Query) -> Results:
    try:
        said = labels.saying(
            session,
            query.text,
            network=query.network,
            hidden=_SHOWN[query.show],
            cursor=request.args.get("cursor"),
            limit=PAGE,
        )
    except NotFound as error:
        if error.kind != "label":
            raise
        near = labels.near(session, query.text, query.network)
        return Results(problem=f"No class is called just “{query.text}”.", near=near)
    following = next_path(said.next_cursor) if said.next_cursor else None
    return Results(said.data, following, is_complete=not indexing.lacks(session, query.network))


def _alike(session: Session, query: Query, like: str) -> Results:
    chosen = request.args.get("picture") or None
    found = named(session, like, or_former=chosen is not None)
    if len(found.places) != 1 or (place := found.places[0]).layer is None or place.unit is None:
        return Results(problem=found.problem or f"{like!r} does not name one unit: NETWORK/LAYER/UNIT does.")
    label = get_unit(session, place.network, place.layer, place.unit, or_former=chosen is not None).label
    results = partial(Results, like=place, label=label, chosen=chosen)
    try:
        alike = neighbours.neighbours(
            session,
            place.network,
            place.layer,
            place.unit,
            within=query.within,
            digest=chosen,
            limit=PAGE,
        )
    except NotFound:
        if chosen is not None:
            raise
        problem = "This unit has no picture yet that others could be compared with."
        return results(problem=problem)
    except NotIndexed as error:
        problem = "Its picture is not indexed yet: a worker does that when it is idle."
        return results(picture=error.digest, problem=problem)
    return results(picture=alike.digest, alike=alike, is_complete=alike.complete)


def _address(place: Place) -> str:
    address, kept = ServerAddresses(), _kept("atlas")
    if place.layer is None:
        return address.network(place.network, **kept)
    if place.unit is None:
        return address.layer(place.network, place.layer, **kept)
    return address.unit(place.network, place.layer, place.unit, **kept)


def _kept(name: str) -> dict[str, Parameter]:
    return {name: request.args[name]} if request.args.get(name) else {}
