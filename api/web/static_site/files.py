"""Every file of the static site of an atlas, one after the other, however many units it has."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment
from sqlalchemy.orm import Session

from api.http import paths
from api.web.addresses import with_query
from api.web.static_site.addresses import LARGE, THUMBNAIL, UNITS_A_PAGE
from api.web.static_site.pages import SHIPPED, SitePages, UnitPictures, of_facets, shipped
from services.access.keys import Principal
from services.atlases import atlases
from services.base.database import Database
from services.base.errors import Invalid, NotFound
from services.base.states import State
from services.exports import version_entries
from services.exports.version_entries import Entries, Entry
from services.search.neighbours import Neighbour, NotIndexed, Within, neighbours

_NEIGHBOURS, _IN_A_STRIP = 12, 8


@dataclass(frozen=True)
class SiteFile:
    """A file: its path from the site's root, and its text or, for a picture, where its bytes are. `ended`:
    how many of the version's pictures are in what comes until here."""

    path: str
    text: str | None
    source: str | None
    ended: int


@dataclass
class StaticSite:
    """The site of a published version."""

    database: Database
    pages: SitePages
    entries: Entries
    _ended: int = 0
    _parts: int = 0

    @classmethod
    def of(
        cls,
        session: Session,
        database: Database,
        templates: Environment,
        atlas: str,
        version: str,
        by: Principal | None,
    ) -> "StaticSite":
        """Raises `NotFound`, and `Invalid` for a version that is being built."""
        shown = atlases.version(session, atlas, version, by=by)
        if shown.layers is None:
            raise Invalid.field("/version", "is being built and changes; publish it, then export it")
        entries = version_entries.entries_of(session, atlas, str(shown.number), by=by)
        layers = sorted(shown.layers, key=lambda layer: layer["ordinal"])
        view = atlases.get(session, atlas, by=by)
        return cls(database, SitePages(templates, view, shown, layers, entries.class_labels), entries)

    def files(self) -> Iterator[SiteFile]:
        """What pages load first, then layer by layer, and the entrance last: who has it has everything."""
        for name in SHIPPED:
            yield self._text(*shipped(name))
        strips: dict[str, list[UnitPictures]] = {}
        units = _units(self.entries.all(self.database))
        for layer, of_layer in groupby(units, key=lambda unit: unit.layer):
            strips[layer] = []
            yield from self._layer(layer, of_layer, strips[layer])
        yield self._text(*self.pages.classes())
        yield self._text(*self.pages.search(self._parts))
        yield self._text(*self.pages.home(strips))

    def _layer(
        self, layer: str, units: Iterable[UnitPictures], strip: list[UnitPictures]
    ) -> Iterator[SiteFile]:
        page, shown, before = 0, list[UnitPictures](), None
        coming = iter(units)
        unit = next(coming, None)
        while unit is not None:
            following = next(coming, None)
            after = None if following is None else following.unit
            yield from self._pictures(unit)
            yield self._text(*self.pages.unit(unit, before, after, self._like(unit)))
            shown.append(unit)
            if unit.first.state == State.DONE and len(strip) < _IN_A_STRIP:
                strip.append(unit)
            if len(shown) == UNITS_A_PAGE or following is None:
                yield self._text(*self.pages.layer(layer, page, shown, following is not None))
                yield self._text(*self.pages.index_part(self._parts, layer, shown))
                page, shown, self._parts = page + 1, [], self._parts + 1
            before, unit = unit.unit, following

    def _pictures(self, unit: UnitPictures) -> Iterator[SiteFile]:
        for facet in unit.facets:
            self._ended += 1
            if facet.state != State.DONE:
                continue
            for size in (THUMBNAIL, LARGE):
                image = f"{paths.visualization_path(facet.digest)}/image.webp"
                path = self.pages.places.picture(facet.digest, size)
                yield SiteFile(path, None, with_query(image, {"size": size}), self._ended)

    def _like(self, unit: UnitPictures) -> list[Neighbour]:
        """Units of the site that are like it: none where no eye has looked at it yet."""
        shown, network = unit.first, self.pages.atlas.network
        if shown.state != State.DONE:
            return []
        with suppress(NotIndexed, NotFound), self.database.session() as session:
            found = neighbours(
                session,
                network,
                unit.layer,
                unit.unit,
                within=Within.NETWORK,
                digest=shown.digest,
                limit=_NEIGHBOURS,
                among=self.entries.digests,
            )
            return [each for each in found.data if each.layer in self.pages.places.folders]
        return []

    def _text(self, path: str, text: str) -> SiteFile:
        return SiteFile(path, text, None, self._ended)


def _units(entries: Iterable[Entry]) -> Iterator[UnitPictures]:
    """Entries by unit, in their order."""

    def place(entry: Entry) -> tuple[str, int]:
        return entry.visualization.objective.layer, entry.visualization.objective.unit

    for (layer, unit), of_unit in groupby(entries, key=place):
        yield of_facets(layer, unit, [entry.visualization for entry in of_unit])
