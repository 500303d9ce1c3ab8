"""Which of a unit's pictures a page shows: one large, one beside it, facets, those by other recipes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import request
from sqlalchemy.orm import Session

from api.auth import reader
from api.web.shown import Shown
from services.atlases import entries
from services.base.errors import Invalid, NotFound
from services.base.states import State
from services.catalog.layers import Unit
from services.pictures import of_unit, visualizations
from services.pictures.visualizations import Visualization

LOOKED_AT = 50
"""Pictures of one unit, of any recipe, that a page knows of, and facets that it shows: the best."""
LIKELIEST = (State.DONE, State.LEASED, State.QUEUED, State.FAILED, State.UNREACHABLE, State.CANCELED)
"""In which order something is shown where there are several."""


@dataclass(frozen=True)
class Wanted:
    """What the address asks for: a facet by its number or a picture by its digest, and one beside it."""

    facet: int | None = None
    picture: str | None = None
    beside: str | None = None

    @classmethod
    def asked(cls) -> "Wanted":
        """By this request. Raises `Invalid` for a facet that is no number."""
        facet = request.args.get("facet") or None
        if facet is not None and not (facet.isascii() and facet.isdecimal() and len(facet) < 10):
            raise Invalid.field("/facet", f"must be the number of a facet; got {facet!r:.40}")
        return cls(
            None if facet is None else int(facet),
            request.args.get("picture") or None,
            request.args.get("beside") or None,
        )


@dataclass(frozen=True)
class Facet:
    """One of several pictures of a unit by one recipe. `number`: in the atlas, or its seed where none is
    shown."""

    number: int
    digest: str
    state: State
    activation: float | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True)
class Chosen:
    """What the page shows.

    `large` is None for a unit that nobody has asked a picture of; `facet` is the number of the large one,
    None for a picture that is no facet. `facet_count` is how many facets there are, of which `facets` may be
    the best alone. `others` are neither the large one nor seen among several facets.
    `in_atlas`: whether the shown atlas has the unit, None where none is shown. `before` and `after` are the
    units next to it there, or in the layer.
    """

    large: Visualization | None
    facet: int | None
    facets: Sequence[Facet]
    facet_count: int
    beside: Visualization | None
    others: Sequence[Visualization]
    in_atlas: bool | None
    before: int | None
    after: int | None


def choose(session: Session, what: Shown, unit: Unit, units: int, wanted: Wanted) -> Chosen:
    """What to show of a unit of a layer of so many units. Raises `NotFound` for a facet or a picture that is
    not there, `Invalid` for a picture of another unit.
    """
    known = of_unit.best_of_unit(session, unit.network, unit.layer, unit.unit, limit=LOOKED_AT)
    # Without an atlas there are pages of a layer that the network has no more for pictures alone.
    has_others = unit.is_current or what.atlas is not None
    before = unit.unit - 1 if has_others and unit.unit else None
    after = unit.unit + 1 if has_others and unit.unit + 1 < units else None
    in_atlas: bool | None = None
    facets, facet_count = _of_seeds(session, known, unit, wanted)
    if (of_atlas := _of_atlas(session, what, unit)) is not None:
        found, *neighbours = of_atlas
        in_atlas = bool(found)
        if found:
            facets, facet_count = found, len(found)
            before, after = neighbours
    missing = {facet.digest for facet in facets} - known.keys()
    known |= visualizations.of_digests(session, missing)
    large = _large(session, known, facets, unit, wanted, in_atlas)
    numbers = {facet.digest: facet.number for facet in facets}
    beside = None
    if wanted.beside is not None and (large is None or large.digest != wanted.beside):
        beside = _of_unit(session, known, unit, wanted.beside, "beside")
    seen = (numbers.keys() if len(facets) > 1 else set()) | ({large.digest} if large else set())
    rest = [found for digest, found in known.items() if digest not in seen]
    return Chosen(
        large,
        None if large is None else numbers.get(large.digest),
        facets,
        facet_count,
        beside,
        sorted(rest, key=lambda found: (LIKELIEST.index(found.state), -(found.score or 0))),
        in_atlas,
        before,
        after,
    )


def _large(
    session: Session,
    known: Mapping[str, Visualization],
    facets: Sequence[Facet],
    unit: Unit,
    wanted: Wanted,
    in_atlas: bool | None,
) -> Visualization | None:
    if wanted.picture is not None:
        return _of_unit(session, known, unit, wanted.picture, "picture")
    if wanted.facet is not None:
        for facet in facets:
            if facet.number == wanted.facet:
                return known[facet.digest]
        there = ", ".join(str(facet.number) for facet in facets)
        raise NotFound("facet", str(wanted.facet), f"There are: {there}." if there else "There are none yet.")
    some = [known[facet.digest] for facet in facets]
    if unit.best is not None and unit.best in known and not in_atlas:
        return known[unit.best]
    return min(some or known.values(), key=lambda found: LIKELIEST.index(found.state), default=None)


def _of_unit(
    session: Session, known: Mapping[str, Visualization], unit: Unit, digest: str, field: str
) -> Visualization:
    found = known.get(digest) or visualizations.get(session, digest)
    objective = found.objective
    if (found.spec.network, objective.layer, objective.unit) != (unit.network, unit.layer, unit.unit):
        raise Invalid.field(
            f"/{field}", f"is a picture of {found.spec.network}/{objective.layer}/{objective.unit}"
        )
    return found


def _of_seeds(
    session: Session, known: Mapping[str, Visualization], unit: Unit, wanted: Wanted
) -> tuple[Sequence[Facet], int]:
    """The best picture and those by the same recipe with other seeds, and how many there are in all."""
    best = known.get(unit.best or "")
    if best is None:
        return (), 0
    some, count = of_unit.of_seeds(session, best, limit=LOOKED_AT, wanted=wanted.facet)
    return [Facet(each.seed, each.digest, each.state, each.activation, each.error) for each in some], count


def _of_atlas(
    session: Session, what: Shown, unit: Unit
) -> tuple[Sequence[Facet], int | None, int | None] | None:
    """The facets that the shown version has of the unit, and the units next to it; None without an atlas."""
    if what.atlas is None or what.version is None:
        return None
    number = str(what.version.number)
    try:
        units = entries.units_of(session, what.atlas.id, number, unit.layer, by=reader())
    except NotFound:
        return (), None, None
    found = units.read(session, unit.unit - 1, 1)
    facets = found[0].facets if found and found[0].unit == unit.unit else ()
    shown = [Facet(facet.facet, facet.digest, facet.state, facet.activation, facet.error) for facet in facets]
    return shown, *units.beside(session, unit.unit)
