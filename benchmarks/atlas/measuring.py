"""What is measured of an atlas whose pictures are done."""

import os
import time
from collections.abc import Mapping
from typing import Any

import psutil
from sqlalchemy import text

from api.http.waiting import AT_ONCE_SECONDS
from benchmarks.atlas.planning import LAYER_UNITS, NETWORK
from benchmarks.atlas.reading import Reader, always, endpoints, p95_ms
from benchmarks.atlas.recalling import recall
from benchmarks.reads_scene import served
from infra.local.endpoints import Endpoints
from services.atlases import atlases, publishing
from services.base.database import Database


def published(database: Database, atlas: str) -> Mapping[str, float]:
    """Publish an atlas: seconds of the request, as the API carries it out, and until it is published."""
    began = time.monotonic()
    with database.session() as session:
        number = publishing.publish(session, atlas)[1].number
    publishing.publish_at_once(database, atlas, seconds=AT_ONCE_SECONDS)
    asked = time.monotonic() - began
    publishing.publish_at_once(database, atlas, seconds=3600)
    with database.session() as session:
        assert atlases.version(session, atlas, str(number)).published_at is not None
    return {"publish_request_s": round(asked, 2), "publish_s": round(time.monotonic() - began, 1)}


def settle(database: Database) -> None:
    """What autovacuum does in the hours that it has."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))


def database_bytes(database: Database) -> int:
    """What the database takes."""
    with database.session() as session:
        return int(session.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def measure(
    database: Database, servers: Endpoints, atlas: str, other: str, units: int, reads: int
) -> dict[str, Any]:
    """Reads of the API, its memory, and recall. `other` is an atlas that was compared with this one."""
    layers = -(-units // LAYER_UNITS)
    rows: list[dict[str, Any]] = []
    with served(servers) as url:
        reader = Reader(url)
        for what, path in endpoints(reader, atlas, other, layers, min(LAYER_UNITS, units)).items():
            rows.append({"what": what, "p95_ms": round(p95_ms(reader, path, reads), 1)})
            print(f"  {what:<36} {rows[-1]['p95_ms']:>8.1f} ms", flush=True)
        memory = _api_mb()
    near = [row["p95_ms"] for row in rows if row["what"].startswith("neighbours")]
    return {
        "endpoints": rows,
        "neighbours_ms": max(near),
        "recall": round(recall(database, NETWORK), 4),
        "api_mb": round(memory),
    }


def while_built(servers: Endpoints, atlas: str, reads: int) -> list[dict[str, Any]]:
    """Reads of an atlas all of whose pictures wait: those whose cost could grow with the queue."""
    paths = {
        "atlas that is built": f"/v1/atlases/{atlas}",
        "layers of an atlas that is built": f"/v1/atlases/{atlas}/layers",
        "jobs of an atlas that is built": f"/v1/jobs?atlas={atlas}",
        "queue that is long": "/v1/queue",
    }
    with served(servers) as url:
        reader = Reader(url)
        return [
            {"what": what, "p95_ms": round(p95_ms(reader, always(path), reads), 1)}
            for what, path in paths.items()
        ]


def _api_mb() -> float:
    """Memory of all processes of the API together; what they share counts once."""
    started = psutil.Process(os.getpid()).children(recursive=True)
    return sum(process.memory_full_info().pss for process in started if "api" in process.cmdline()) / 2**20
