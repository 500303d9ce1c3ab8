"""Layers of very many units, all of them in a published version of an atlas: rows of a database, which share
the few pictures that `benchmarks.reads_scene` makes."""

import urllib.request
from collections.abc import Sequence

from sqlalchemy import text

from benchmarks.grid import layer_rows
from benchmarks.grid.layer_rows import LayerOfUnits
from benchmarks.reads_scene import CLASSES, settings_of
from benchmarks.reads_scene import NETWORK as WITH_PICTURES
from imago_engine.networks import LayerInfo
from infra.local.endpoints import Endpoints
from services.base.database import Database
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network

NETWORK, LAYER, ATLAS = "bench.grid", "features", "atl_01kb5e8r7w3m9x2q4t6v8y0bench"


def stage(endpoints: Endpoints, url: str, units: int) -> None:
    """Make the layer and its atlas. The API at `url` serves these servers."""
    stage_layers(endpoints, url, [LayerOfUnits(LAYER, 0, units)])


def stage_layers(endpoints: Endpoints, url: str, layers: Sequence[LayerOfUnits]) -> int:
    """Make the atlas with these layers; returns its number."""
    database = Database(settings_of(endpoints).database_url, pool_size=2)
    have_thumbnails_made(database, url)
    with database.session() as session:
        register_network(session, RegisterNetwork(id=NETWORK))
        record_inspection(
            session,
            NETWORK,
            weights_sha256="c" * 64,
            preprocessing={"size": 224},
            labels=[f"class number {index}" for index in range(CLASSES)],
            layers=[
                LayerInfo(each.name, "conv", each.units, (7, 7), 400, 32, role="block") for each in layers
            ],
        )
    with database.session() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        layer_rows.finished(session, NETWORK, layers)
        number = layer_rows.atlas(session, ATLAS, "all of it", NETWORK, layers, published=True)
        layer_rows.entered(session, NETWORK, layers, number)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("visualizations", "atlas_entries", "artifacts"):
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    database.dispose()
    return number


def have_thumbnails_made(database: Database, url: str) -> None:
    """Ask the API at `url` for the small copies of the few pictures that all share, which it then keeps."""
    with database.session() as session:
        found = session.execute(
            text("SELECT digest FROM visualizations WHERE network_id = :id"), {"id": WITH_PICTURES}
        )
        digests = list(found.scalars())
    for digest in digests:
        urllib.request.urlopen(f"{url}/v1/visualizations/{digest}/image.webp?size=128", timeout=60).close()
