"""Every file of the static site of an atlas, one after the other, however many units it has."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby

from jinja2 import Environment
from sqlalchemy.orm import Session

from api.http.objects import verified
from api.web.addresses import ServerAddresses
from api.web.grid_view import CELLS_A_PAGE
from api.web.pages.units import figures, traces
from api.web.shown import Shown
from api.web.static_site import scripts
from api.web.static_site.addresses import LARGE, THUMBNAIL
from api.web.static_site.labels import LabelIndex
from api.web.static_site.pages import SHIPPED, SitePages, UnitFound, shipped
from api.web.static_site.scripts import LayerIndex
from api.web.static_site.units import UnitPictures, units_of
from imago_engine.artifacts import ArtifactKind
from services.access.keys import Principal
from services.atlases import atlases
from services.base.database import Database
from services.base.errors import Invalid, NotFound
from services.base.states import State
from services.exemplars.found import UnitExemplars
from services.exports import version_entries
from services.exports.version_entries import Entries
from services.grids.cells import cells
from services.grids.subjects import of_version
from services.maps import maps
from services.maps.maps import ShownMap
from services.pictures.losses import Subject as Lost
from services.search.neighbours import Neighbours, NotIndexed, Within, neighbours

_NEIGHBOURS = 12


@dataclass(frozen=True)
class SiteFile:
    """A file: its path from the site's root, and its text or, for a picture, where its bytes are. `ended`:
    how many of the version's pictures are in what comes until here."""

    path: str
    text: str | None
    source: str | None
    ended: int


@dataclass(frozen=True)
class Workshop:
    """What the files are made with, after the request has been answered. `in_app` enters the application: the
    store is read there."""

    database: Database
    templates: Environment
    in_app: Callable[[], AbstractContextManager[object]]


@dataclass
class StaticSite:
    """The site of a published version. `map` is None where there is none; `has_exemplars`: whether
    photographs that excite units are part of it."""

    workshop: Workshop
    pages: SitePages
    entries: Entries
    map: ShownMap | None
    has_exemplars: bool
    _ended: int = 0
    _parts: int = 0
    _layers: list[LayerIndex] = field(init=False)
    _labels: LabelIndex = field(default_factory=LabelIndex)

    def __post_init__(self) -> None:
        self._layers = [LayerIndex(name, folder, 0) for name, folder in self.pages.places.folders.items()]

    @classmethod
    def of(
        cls,
        session: Session,
        workshop: Workshop,
        atlas: str,
        version: str,
        by: Principal | None,
        *,
        has_exemplars: bool,
    ) -> "StaticSite":
        """Raises `NotFound`, and `Invalid` for a version that is being built."""
        shown = atlases.version(session, atlas, version, by=by)
        if shown.layers is None:
            raise Invalid.field("/version", "is being built and changes; publish it, then export it")
        view, number = atlases.get(session, atlas, by=by), str(shown.number)
        names = [layer["layer"] for layer in sorted(shown.layers, key=lambda layer: layer["ordinal"])]
        subjects = {name: of_version(session, view.network, name, atlas, number, by=by) for name in names}
        entries = version_entries.entries_of(session, atlas, number, by=by)
        map = _map(session, atlas, number, by)
        pages = SitePages(workshop.templates, Shown(view, shown), subjects, map is not None)
        return cls(workshop, pages, entries, map, has_exemplars)

    def files(self) -> Iterator[SiteFile]:
        """What pages load first, then layer by layer, and the entrance last: who has it has everything."""
        for name in SHIPPED:
            yield self._text(*shipped(name))
        units = units_of(self.entries.all(self.workshop.database))
        for layer, of_layer in groupby(units, key=lambda unit: unit.layer):
            yield from self._layer(layer, of_layer)
        yield from self._index()
        yield from self._map_files()
        with self.workshop.database.session() as session:
            yield self._text(*self.pages.search(session))
            yield self._text(*self.pages.home(session))

    def _layer(self, layer: str, units: Iterable[UnitPictures]) -> Iterator[SiteFile]:
        """The units and their parts of the index, then the pages of the grid, which tell of how many."""
        numbers, some, before = list[int](), list[UnitPictures](), None
        place = list(self.pages.subjects).index(layer)
        self._layers[place].first = self._parts
        coming = iter(units)
        unit = next(coming, None)
        while unit is not None:
            following = next(coming, None)
            yield from self._unit(unit, before, None if following is None else following.unit)
            self._labels.add(place, unit.unit, unit.digest, unit.called, unit.large.predictions or ())
            numbers.append(unit.unit)
            some.append(unit)
            if len(some) == scripts.PART or following is None:
                yield self._index_part(self._layers[place], some)
                some = []
            before, unit = unit.unit, following
        for page in range(-(-len(numbers) // CELLS_A_PAGE)):
            with self.workshop.database.session() as session:
                found = self.pages.layer(session, layer, page, numbers)
            yield self._text(*found)

    def _unit(self, unit: UnitPictures, before: int | None, after: int | None) -> Iterator[SiteFile]:
        yield from self._pictures(unit)
        with self.workshop.in_app():
            trace = traces.trace_of(unit.large)
        with self.workshop.database.session() as session:
            exemplars, like = self._exemplars(session, unit), self._like(session, unit)
            page = self.pages.unit(session, unit, UnitFound(before, after, exemplars, like, trace))
        yield from self._photographs(exemplars)
        yield self._text(*page)

    def _pictures(self, unit: UnitPictures) -> Iterator[SiteFile]:
        address, places = ServerAddresses(), self.pages.places
        for entry in unit.entries:
            self._ended += 1
            facet = entry.visualization
            if facet.state != State.DONE:
                continue
            small = figures.is_small_picture(facet)
            for size, format in ((THUMBNAIL, "webp"), (None, "png") if small else (LARGE, "webp")):
                source = address.picture(facet.digest, size, format)
                yield self._source(places.picture(facet.digest, size, format), source)
        if unit.is_there and ArtifactKind.CROP in unit.large.artifacts:
            yield self._source(places.crop(unit.large.digest), address.crop(unit.large.digest))

    def _photographs(self, found: UnitExemplars | None) -> Iterator[SiteFile]:
        if found is None:
            return
        scan = found.statistics.scan
        for exemplar in found.exemplars:
            source = ServerAddresses().exemplar(found.network, found.layer, found.unit, exemplar.rank, scan)
            path = self.pages.places.exemplar(found.layer, found.unit, exemplar.rank, scan)
            yield self._source(path, source)

    def _exemplars(self, session: Session, unit: UnitPictures) -> UnitExemplars | None:
        watched = self.pages.subjects[unit.layer].watched
        if watched is None or not self.has_exemplars:
            return None
        return figures.exemplars_of(session, unit.described, watched.scan)

    def _like(self, session: Session, unit: UnitPictures) -> Neighbours | str | None:
        """Units of the site that are like it."""
        if not unit.is_there:
            return None
        network = unit.large.spec.network
        try:
            found = neighbours(
                session,
                network,
                unit.layer,
                unit.unit,
                within=Within.NETWORK,
                digest=unit.large.digest,
                limit=_NEIGHBOURS,
                among=self.entries.digests,
            )
        except NotIndexed as error:
            return str(error)
        except NotFound:
            return None
        here = [each for each in found.data if each.layer in self.pages.places.folders]
        return replace(found, data=here)

    def _index_part(self, layer: LayerIndex, units: list[UnitPictures]) -> SiteFile:
        with self.workshop.database.session() as session:
            found = cells(session, self.pages.subjects[layer.name], [unit.unit for unit in units])
        number = self._parts
        self._parts += 1
        layer.starts.append(units[0].unit)
        layer.small |= any(unit.is_there and figures.is_small_picture(unit.large) for unit in units)
        return self._text(scripts.part(number), scripts.index_part(number, units, found))

    def _index(self) -> Iterator[SiteFile]:
        """What tells where everything is, and who says each label."""
        yield self._text(scripts.LAYERS, scripts.layers(self._layers))
        counts, some = self._labels.counts, self._labels.some
        yield self._text(scripts.CLASSES, scripts.classes(self.entries.class_labels, counts, some))
        for number, hits in self._labels.labels():
            yield self._text(scripts.label(number), scripts.said(number, hits))

    def _map_files(self) -> Iterator[SiteFile]:
        if self.map is None or self.map.map is None:
            return
        found = self.map.map
        with self.workshop.in_app(), verified(found.points_object, Lost("map", found.name)) as file:
            points = file.read()
        yield self._text(scripts.POINTS, scripts.map_of(found, points))
        with self.workshop.database.session() as session:
            page = self.pages.map(session, self.map)
        yield self._text(*page)

    def _text(self, path: str, text: str) -> SiteFile:
        return SiteFile(path, text, None, self._ended)

    def _source(self, path: str, source: str) -> SiteFile:
        return SiteFile(path, None, source, self._ended)


def _map(session: Session, atlas: str, version: str, by: Principal | None) -> ShownMap | None:
    with suppress(NotFound):
        found = maps.find(session, atlas, version, by=by)
        return None if found.map is None else found
    return None
