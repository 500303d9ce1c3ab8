"""A stand-in for a worker that draws maps: the units of a version in rows, without looking at any picture."""

import numpy as np
from sqlalchemy import text

from services.base.database import Database
from services.base.object_keys import map_key
from services.base.storage import ObjectStore
from services.maps import making
from services.maps.making import Drawn
from services.maps.subjects import Mapped
from worker.maps import files

_UNITS = text("SELECT DISTINCT layer_no, unit FROM atlas_entries WHERE atlas_no = :no ORDER BY 1, 2")
_ROW = 20


def draw_map(
    database: Database, store: ObjectStore, atlas: str, number: int, region: str, name: str = "d" * 64
) -> None:
    """Let a version show a map of its units with one region, that is called so."""
    with database.session() as session:
        asked = making.wanted(session, Mapped(atlas, number))
        assert asked is not None
        found = session.execute(_UNITS, {"no": asked.atlas_no}).all()
        order = [layer_no for layer_no, _ in asked.layers]
        units = np.array([row.unit for row in found], np.uint32)
        layers = np.array([order.index(row.layer_no) for row in found], np.uint16)
        places = np.array([divmod(at, _ROW) for at in range(len(found))], np.float32)[:, ::-1]
        points = files.points(places / max(1, places.max()), units, layers)
        key = map_key(points)
        store.put_under(key, points, "application/octet-stream")
        label = {"label": region, "x": 0.5, "y": 0.5, "units": 1, "of": len(found)}
        names = [name for _, name in asked.layers]
        drawn = Drawn(name, len(found), len(found), names, [[label]], key, len(points))
        making.finish(session, asked, drawn, unseen=0)
