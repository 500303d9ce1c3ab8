"""A published version of an atlas with a map of very many units: rows of a database, which share the few
pictures that `benchmarks.reads_scene` makes, in places drawn at random around some centres."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.grid.layer_rows import LayerOfUnits
from benchmarks.grid.scene import ATLAS, stage_layers
from benchmarks.reads_scene import settings_of
from imago_engine.weights import EYE
from infra.local.endpoints import Endpoints
from services.base.database import Database
from services.base.object_keys import map_key
from services.base.storage import ObjectStore
from services.maps.tables import AtlasMapRow, MapRow
from worker.maps import files

LAYERS = 20
_REGIONS = (6, 24, 96)
_CENTRES, _SPREAD = 96, 0.03


def stage(endpoints: Endpoints, url: str, units: int) -> str:
    """Make the atlas and its map; returns the path of the map's page. The API at `url` serves them."""
    layers = [LayerOfUnits(f"blocks.{number}", number, units // LAYERS) for number in range(LAYERS)]
    number = stage_layers(endpoints, url, layers)
    settings = settings_of(endpoints)
    database, store = Database(settings.database_url, pool_size=2), ObjectStore(settings)
    draw = np.random.default_rng(1)
    points = _points(draw, layers)
    key = map_key(points)
    store.put_under(key, points, "application/octet-stream")
    pictures = sum(layer.units - layer.unreachable for layer in layers)
    name = hashlib.sha256(points).hexdigest()
    with database.session() as session:
        session.add(
            MapRow(
                name=name,
                eye=EYE,
                units=sum(layer.units for layer in layers),
                fitted=50_000,
                layers=[layer.name for layer in layers],
                labels=[_labels(draw, count) for count in _REGIONS],
                points_object=key,
                points_bytes=len(points),
            )
        )
        session.flush()
        session.add(
            AtlasMapRow(atlas_no=number, number=1, eye=EYE, map=name, pictures=pictures, unseen=0, final=True)
        )
    database.dispose()
    return f"/atlases/{ATLAS}/versions/1/map"


def _points(draw: np.random.Generator, layers: list[LayerOfUnits]) -> bytes:
    """In random order, as maps have them."""
    units = np.concatenate([np.arange(layer.units, dtype=np.uint32) for layer in layers])
    numbers = np.repeat(np.arange(len(layers), dtype=np.uint16), [layer.units for layer in layers])
    order = draw.permutation(len(units))
    return files.points(_places(draw, len(units)), units[order], numbers[order])


def _places(draw: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    centres = draw.uniform(0.1, 0.9, (_CENTRES, 2))
    around = centres[draw.integers(_CENTRES, size=count)] + draw.normal(0, _SPREAD, (count, 2))
    return np.clip(around, 0, 1).astype(np.float32)


def _labels(draw: np.random.Generator, count: int) -> list[dict[str, Any]]:
    places = draw.uniform(0.1, 0.9, (count, 2))
    return [
        {"label": f"class number {number}", "x": float(x), "y": float(y), "units": 100, "of": 1000}
        for number, (x, y) in enumerate(places)
    ]
