"""Walk the pyramid of a sheet, part by part before the whole, so that memory holds some tiles, never a level.

Every tile is made from stored bytes alone: whoever goes on where another was killed makes the same ones.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from services.base.database import Database
from services.base.object_keys import sheet_key
from services.base.storage import ObjectStore
from services.sheets.layout import CELLS_OF_TILE, Place
from services.sheets.making import Begun, Tile
from services.sheets.plans import SheetPlan
from worker.sheets import drawing
from worker.sheets.stored_pictures import AT_ONCE, StoredPictures

_TILES_OF_A_COMMIT = 16


class SliceEnds(Exception):
    """It is another's turn; what was made is listed."""


class Pyramid:
    """A sheet that is being made. `list_tiles` notes some that were put; `may_go_on` is asked after each."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        begun: Begun,
        plan: SheetPlan,
        *,
        list_tiles: Callable[[Sequence[Tile]], None],
        may_go_on: Callable[[], bool],
    ) -> None:
        self._database = database
        self._store = store
        self._layout = begun.layout
        self._plan = plan
        self._keys = dict(begun.tiles)
        self._list = list_tiles
        self._may_go_on = may_go_on
        self._unlisted: list[Tile] = []

    def make(self) -> str:
        """Make what is not there yet, then the picture of all of it; returns the object of that.

        Raises `SliceEnds`, `Lacking`, or `Unavailable`.
        """
        try:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sheet") as readers:
                self._pictured = StoredPictures(self._database, self._store, readers)
                self._make(Place(0, 0, 0))
                self._flush()
                return self._picture()
        finally:
            self._flush()

    def _make(self, place: Place) -> bytes | None:
        """The bytes of a tile that is made now; None for one that was there."""
        if place in self._keys:
            return None
        parts = self._layout.parts(place)
        if parts:
            made = {part: self._make(part) for part in parts}
            tile = drawing.of_tiles(self._layout, place, self._bytes(made))
        else:
            tile = drawing.of_pictures(self._layout, place, self._pictures(place))
        data = drawing.encoded(tile)
        key = sheet_key(data, "jpg")
        self._store.put_under(key, data, drawing.MEDIA_TYPE)
        self._keys[place] = key
        self._unlisted.append(Tile(place, key, len(data)))
        going_on = self._may_go_on()
        if len(self._unlisted) >= _TILES_OF_A_COMMIT or not going_on:
            self._flush()
        if not going_on:
            raise SliceEnds
        return data

    def _bytes(self, tiles: Mapping[Place, bytes | None]) -> dict[Place, bytes]:
        return {
            place: self._stored(self._keys[place]) if data is None else data for place, data in tiles.items()
        }

    def _flush(self) -> None:
        tiles, self._unlisted = self._unlisted, []
        if tiles:
            self._list(tiles)

    def _picture(self) -> str:
        level = self._layout.picture_level
        columns, rows = self._layout.grid_of(level)
        if (columns, rows) == (1, 1):
            return self._keys[Place(level, 0, 0)]
        places = [Place(level, col, row) for row in range(rows) for col in range(columns)]
        data = drawing.encoded(
            drawing.of_level(
                self._layout, level, {place: self._stored(self._keys[place]) for place in places}
            )
        )
        key = sheet_key(data, "jpg")
        self._store.put_under(key, data, drawing.MEDIA_TYPE)
        return key

    def _pictures(self, place: Place) -> dict[int, Image.Image]:
        """Of the cells of a tile, by the number of the cell."""
        cells = [
            self._layout.cell_at(place.col * CELLS_OF_TILE + right, place.row * CELLS_OF_TILE + down)
            for down in range(CELLS_OF_TILE)
            for right in range(CELLS_OF_TILE)
        ]
        digests = {cell: self._plan.digest_of(cell) for cell in cells if cell is not None}
        shown = self._pictured.of({digest for digest in digests.values() if digest is not None})
        return {cell: shown[digest] for cell, digest in digests.items() if digest in shown}

    def _stored(self, key: str) -> bytes:
        with self._store.verified(key) as file:
            return file.read()
