"""A layer of very many units, all of them in a published version of an atlas: rows of a database, which share
the few pictures that `benchmarks.reads_scene` makes."""

import json
import urllib.request

from sqlalchemy import text

from benchmarks.reads_scene import NETWORK as WITH_PICTURES
from benchmarks.reads_scene import settings_of
from imago_engine.networks import LayerInfo
from infra.local.endpoints import Endpoints
from services.base.database import Database
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network

NETWORK, LAYER, ATLAS = "bench.grid", "features", "atl_01kb5e8r7w3m9x2q4t6v8y0bench"
CLASSES = 1000
_DIGEST = "encode(sha256(convert_to('grid/' || u, 'UTF8')), 'hex')"
_VISUALIZATIONS = f"""
    INSERT INTO visualizations (digest, network_id, network_sha256, layer, unit, generator_id, recipe_digest,
        seed, engine, batch_key, state, lane, queue_order, activation, score, predictions, finished_at)
    SELECT {_DIGEST}, :network, (SELECT spec_sha256 FROM networks WHERE id = :network), :layer, u,
        some_row.generator_id, some_row.recipe_digest, 0, some_row.engine, some_row.batch_key,
        CASE WHEN u % 100 = 13 THEN 'unreachable' ELSE 'done' END, some_row.lane, u,
        CASE WHEN u % 100 = 13 THEN NULL ELSE 100 * random() END, random(),
        jsonb_build_array(jsonb_build_array(u % {CLASSES}, 0.6), jsonb_build_array((u + 7) % {CLASSES}, 0.2)),
        now()
    FROM generate_series(0, :units - 1) AS u,
        (SELECT * FROM visualizations WHERE network_id = :pictures LIMIT 1) AS some_row
"""
_ARTIFACTS = f"""
    INSERT INTO artifacts (digest, kind, object, media_type, bytes, width, height)
    SELECT {_DIGEST}, a.kind, a.object, a.media_type, a.bytes, a.width, a.height
    FROM generate_series(0, :units - 1) AS u
    JOIN (
        SELECT digest, row_number() OVER (ORDER BY digest) - 1 AS number, count(*) OVER () AS all_of_them
        FROM visualizations WHERE network_id = :pictures
    ) AS made ON made.number = u % made.all_of_them
    JOIN artifacts a ON a.digest = made.digest
    WHERE u % 100 <> 13
"""
_ATLAS = """
    INSERT INTO atlases (id, name, network_id, visibility, wish, request_hash)
    VALUES (:atlas, 'all of it', :network, 'public', 'build', '') RETURNING no
"""
_LAYER = """
    INSERT INTO atlas_layers (atlas_no, layer_no, layer, ordinal, units, unit_count, facets, making, expanded)
    VALUES (:no, 0, :layer, 0, 'all', :units, 1, CAST(:making AS jsonb), :units)
"""
_VERSIONS = """
    INSERT INTO atlas_versions (atlas_no, number, request, network_sha256, layers, published_at)
    SELECT :no, made.number, CAST('{}' AS jsonb), spec_sha256, made.layers, made.published_at
    FROM networks, (
        VALUES (1, CAST(:layers AS jsonb), now()), (2, NULL, NULL)
    ) AS made (number, layers, published_at)
    WHERE id = :network
"""
_ENTRIES = f"""
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT :no, 0, u, 0, 1, {_DIGEST} FROM generate_series(0, :units - 1) AS u
"""


def stage(endpoints: Endpoints, url: str, units: int) -> None:
    """Make the layer and its atlas. The API at `url` serves these servers."""
    settings = settings_of(endpoints)
    database = Database(settings.database_url, pool_size=2)
    _have_thumbnails_made(database, url)
    with database.session() as session:
        register_network(session, RegisterNetwork(id=NETWORK))
        record_inspection(
            session,
            NETWORK,
            weights_sha256="c" * 64,
            preprocessing={"size": 224},
            labels=[f"class number {index}" for index in range(CLASSES)],
            layers=[LayerInfo(LAYER, "conv", units, (7, 7), 400, 32, role="block")],
        )
    making: dict[str, object] = {
        "technique": "dgn-am",
        "parameters": {},
        "generator": None,
        "batch_key": "bench",
    }
    reached = units - len(range(13, units, 100))
    layer = {
        "layer_no": 0,
        "layer": LAYER,
        "ordinal": 0,
        "units": "all",
        "unit_count": units,
        "facets": 1,
        "technique": "dgn-am",
        "parameters": {},
        "generator": None,
        "pictures": reached,
        "unreachable": units - reached,
        "shown_units": units,
    }
    given = {"network": NETWORK, "layer": LAYER, "units": units, "pictures": WITH_PICTURES, "atlas": ATLAS}
    given |= {"making": json.dumps(making), "layers": json.dumps([layer])}
    with database.session() as session:
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text(_VISUALIZATIONS), given)
        session.execute(text(_ARTIFACTS), given)
        given["no"] = session.execute(text(_ATLAS), given).scalar_one()
        for statement in (_LAYER, _VERSIONS, _ENTRIES):
            session.execute(text(statement), given)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("visualizations", "atlas_entries", "artifacts"):
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    database.dispose()


def _have_thumbnails_made(database: Database, url: str) -> None:
    with database.session() as session:
        found = session.execute(
            text("SELECT digest FROM visualizations WHERE network_id = :id"), {"id": WITH_PICTURES}
        )
        digests = list(found.scalars())
    for digest in digests:
        urllib.request.urlopen(f"{url}/v1/visualizations/{digest}/image.webp?size=128", timeout=60).close()
