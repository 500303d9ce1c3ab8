"""A few pictures that stand for a layer, an atlas or a network: read at once for all that a page shows, with
a bounded look at each layer, and of what has many layers at some of them alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

_PLACES = 8
"""Places of a layer that are looked at, as far from each other: neighbours are often of one kind (the first
units of ImageNet's classes are all fish)."""
_LOOKED_AT, _LOOKED_AT_OF_SOME = 5, 2
"""Units from each place on that are looked at, since some have no picture: of all layers of a page, and where
some layers stand for all. From the first place on they are as many as there are places at least: where few
units of a layer are shown, or lie together, they are seen all the same."""
_OF_VERSION = text("""
    SELECT l.place, part, seen.unit, seen.digest, made.width, made.height
    FROM unnest(CAST(:atlases AS int[]), CAST(:numbers AS int[]), CAST(:layers AS int[]))
        WITH ORDINALITY AS l (atlas_no, number, layer_no, place)
    CROSS JOIN LATERAL (
        SELECT coalesce(min(unit), 0) AS first, coalesce(max(unit), 0) AS last FROM atlas_entries
        WHERE atlas_no = l.atlas_no AND layer_no = l.layer_no
    ) AS units
    CROSS JOIN generate_series(0, :places - 1) AS part
    CROSS JOIN LATERAL (
        SELECT unit, digest FROM atlas_entries
        WHERE atlas_no = l.atlas_no AND layer_no = l.layer_no AND facet = 0
        AND since <= l.number AND (until IS NULL OR until > l.number)
        AND unit >= units.first + CAST(units.last - units.first AS bigint) * part / :places
        ORDER BY unit LIMIT CASE WHEN part = 0 THEN greatest(:looked_at, :places) ELSE :looked_at END
    ) AS seen
    CROSS JOIN LATERAL (
        SELECT a.width, a.height FROM visualizations v
        LEFT JOIN artifacts a ON a.digest = v.digest AND a.kind = 'image'
        WHERE v.digest = seen.digest AND v.state = 'done' LIMIT 1
    ) AS made
    ORDER BY l.place, part, seen.unit
""")
_OF_BEST = text("""
    SELECT l.place, part, seen.unit, seen.digest, a.width, a.height
    FROM unnest(CAST(:networks AS text[]), CAST(:hashes AS text[]), CAST(:layers AS text[]))
        WITH ORDINALITY AS l (network, sha256, name, place)
    CROSS JOIN LATERAL (
        SELECT coalesce(min(unit), 0) AS first, coalesce(max(unit), 0) AS last FROM visualizations
        WHERE network_id = l.network AND layer = l.name
    ) AS units
    CROSS JOIN generate_series(0, :places - 1) AS part
    CROSS JOIN LATERAL (
        SELECT unit, digest, state, network_sha256 FROM visualizations
        WHERE network_id = l.network AND layer = l.name
        AND unit >= units.first + CAST(units.last - units.first AS bigint) * part / :places
        ORDER BY unit, digest
        LIMIT CASE WHEN part = 0 THEN greatest(:looked_at, :places) ELSE :looked_at END
    ) AS seen
    LEFT JOIN LATERAL (
        SELECT width, height FROM artifacts WHERE digest = seen.digest AND kind = 'image' LIMIT 1
    ) AS a ON true
    WHERE seen.state = 'done' AND seen.network_sha256 = l.sha256
    ORDER BY l.place, part, seen.unit
""")


@dataclass(frozen=True)
class Glimpse:
    """A picture of a unit. `side`: pixels of its longer side, None where nobody noted it."""

    layer: str
    unit: int
    digest: str
    side: int | None


@dataclass(frozen=True)
class OfVersion:
    """Layers of a version of an atlas, in the order of the network, by their numbers there."""

    atlas_no: int
    number: int
    layers: Mapping[int, str]


@dataclass(frozen=True)
class OfBest:
    """Layers of a network, in its order, whatever atlas their pictures are in."""

    network: str
    sha256: str | None
    names: Sequence[str]


Shown = OfVersion | OfBest
Strips = Mapping[str, Sequence[Glimpse]]
"""Pictures of each layer, by its name."""


def strips_of(session: Session, shown: Shown, most: int) -> Strips:
    """`most` pictures at most of each layer."""
    return _read(session, [shown], most, _LOOKED_AT)[0]


def posters(session: Session, shown: Sequence[Shown], most: int) -> Sequence[Sequence[Glimpse]]:
    """Of each `most` pictures that stand for it all: of the later third of its layers, which show things,
    where the first show edges and textures. The deepest layer comes first, and layers take turns."""
    found = [
        _turns(strips, most)
        for strips in _read(session, [_some(one, most) for one in shown], most, _LOOKED_AT_OF_SOME)
    ]
    # All layers where those have too few pictures.
    lacking = [at for at, strip in enumerate(found) if len(strip) < most]
    for at, strips in zip(
        lacking, _read(session, [shown[at] for at in lacking], most, _LOOKED_AT_OF_SOME), strict=True
    ):
        more = [glimpse for glimpse in _turns(strips, 2 * most) if glimpse not in found[at]]
        found[at] = [*found[at], *more][:most]
    return found


def _some(shown: Shown, most: int) -> Shown:
    """So many of the later layers, evenly."""
    if isinstance(shown, OfBest):
        return OfBest(shown.network, shown.sha256, _later(shown.names, most))
    return OfVersion(shown.atlas_no, shown.number, dict(_later(list(shown.layers.items()), most)))


def _later(layers: Sequence[Any], most: int) -> Sequence[Any]:
    later = layers[len(layers) * 2 // 3 :]
    if len(later) <= most:
        return later
    return [later[(at + 1) * len(later) // most - 1] for at in range(most)]


def _read(session: Session, shown: Sequence[Shown], most: int, looked_at: int) -> Sequence[Strips]:
    """Two statements at most, whatever is shown."""
    found: list[dict[str, Sequence[Glimpse]]] = [{} for _ in shown]
    for statement, given, layers in (_of_versions(shown), _of_best(shown)):
        if not layers:
            continue
        rows: dict[int, list[Any]] = {}
        for row in session.execute(statement, {**given, "places": _PLACES, "looked_at": looked_at}):
            rows.setdefault(row.place - 1, []).append(row)
        for place, (at, name) in enumerate(layers):
            found[at][name] = _spread(rows.get(place, []), name, most)
    return found


_Asked = tuple[TextClause, Mapping[str, Any], Sequence[tuple[int, str]]]
"""A statement, what it is given, and its layers: the place of what each is shown for, and its name."""


def _of_versions(shown: Sequence[Shown]) -> _Asked:
    asked = [
        (at, name, one.atlas_no, one.number, no)
        for at, one in enumerate(shown)
        if isinstance(one, OfVersion)
        for no, name in one.layers.items()
    ]
    given = {
        "atlases": [atlas_no for _, _, atlas_no, _, _ in asked],
        "numbers": [number for _, _, _, number, _ in asked],
        "layers": [no for *_, no in asked],
    }
    return _OF_VERSION, given, [(at, name) for at, name, *_ in asked]


def _of_best(shown: Sequence[Shown]) -> _Asked:
    asked = [
        (at, name, one.network, one.sha256)
        for at, one in enumerate(shown)
        if isinstance(one, OfBest)
        for name in one.names
    ]
    given = {
        "networks": [network for _, _, network, _ in asked],
        "hashes": [sha256 for *_, sha256 in asked],
        "layers": [name for _, name, _, _ in asked],
    }
    return _OF_BEST, given, [(at, name) for at, name, *_ in asked]


def _turns(found: Strips, most: int) -> Sequence[Glimpse]:
    deepest_first = [
        _far_apart(strip, place) for place, strip in enumerate(list(found.values())[::-1]) if strip
    ]
    longest = max(map(len, deepest_first), default=0)
    turns = [strip[turn] for turn in range(longest) for strip in deepest_first if turn < len(strip)]
    return turns[:most]


def _far_apart(strip: Sequence[Glimpse], place: int) -> Sequence[Glimpse]:
    """In another order for each place of a layer, in which neighbours do not follow each other."""
    first = place * 3 % len(strip)
    turned = [*strip[first:], *strip[:first]]
    return [*turned[::2], *turned[1::2]]


def _spread(rows: Sequence[Any], layer: str, most: int) -> Sequence[Glimpse]:
    """Some of the rows, of one unit each: of as many parts of the layer as there can be, in their order."""
    parts: dict[int, list[Any]] = {}
    for row in rows:
        parts.setdefault(row.part, []).append(row)
    firsts = _one_of_each_unit(seen[0] for seen in parts.values())
    if len(firsts) >= most:
        chosen = [firsts[at * len(firsts) // most] for at in range(most)]
    else:
        turns = zip_longest(*parts.values())
        units = _one_of_each_unit(row for turn in turns for row in turn if row is not None)
        chosen = sorted(units[:most], key=lambda row: row.unit)
    return [
        Glimpse(layer, row.unit, row.digest, None if row.width is None else max(row.width, row.height))
        for row in chosen
    ]


def _one_of_each_unit(rows: Iterable[Any]) -> list[Any]:
    """The first of each, in their order."""
    found: dict[int, Any] = {}
    for row in rows:
        found.setdefault(row.unit, row)
    return [*found.values()]
