"""The networks of `benchmarks.pages`, with atlases of all their units: most units are those of one network
with one very large layer, the rest is spread over as many networks as a list of them shows, and more. Written
a few layers at a time, each time in one transaction, so that a run that was stopped goes on."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.atlas.loading import DEFERRED, copy_embeddings, embeddings_as_copied
from benchmarks.grid import layer_rows
from benchmarks.grid.layer_rows import LayerOfUnits
from benchmarks.reads_scene import CLASSES
from imago_engine.networks import LayerInfo
from imago_engine.weights import DIMENSIONS, EYE
from services.base.database import Database
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.search.indexing import LABEL

NETWORK, LARGE, OUTPUT = "bench.pages", "features", "classifier"
SMALL_NETWORKS, SMALL_LAYERS = 40, 50
_LAYER_UNITS, _MOST_LARGE = 4_000, 100_000
_AT_ONCE = 10
"""Layers of one transaction."""
_NEAR, _SPREAD = 500, 0.7
"""Embeddings lie around so many places, so far from them."""
_THERE = text("SELECT EXISTS (SELECT FROM atlas_entries WHERE atlas_no = :no AND layer_no = :layer)")
_DIGESTS = text("""
    SELECT layer, digest, unit FROM visualizations
    WHERE network_id = :network AND layer = ANY(CAST(:layers AS text[])) AND state = 'done'
    ORDER BY layer, unit
""")
_LABELS = text(
    LABEL.format(
        source="""(SELECT digest, network_id, layer, unit, predictions FROM visualizations
        WHERE network_id = :network AND layer = ANY(CAST(:layers AS text[])))"""
    )
)
_JOBS = text("""
    INSERT INTO jobs (id, state, lane, request, request_hash, total, cached, done, unreachable, turn,
        atlas_no, layer_no, started_at, finished_at)
    SELECT :id, 'succeeded', 'bulk',
        jsonb_build_object('network', CAST(:network AS text), 'targets', jsonb_build_array(jsonb_build_object(
            'layer', CAST(:layer AS text), 'units', '0-' || (:units - 1))),
            'recipe', first.request -> 'recipe', 'seeds', first.request -> 'seeds', 'candidates', 1),
        '', :units, 0, :units - :lost, :lost, 0, :no, :number, now(), now()
    FROM (SELECT request FROM jobs ORDER BY id LIMIT 1) AS first
""")
_ITEMS = text("""
    INSERT INTO job_visualizations (job_id, ordinal, digest)
    SELECT :id, unit, digest FROM atlas_entries WHERE atlas_no = :no AND layer_no = :number
""")


@dataclass(frozen=True)
class Showcase:
    """A network with the id of its atlas and its layers."""

    network: str
    atlas: str
    layers: Sequence[LayerOfUnits]


def large(units: int) -> Showcase:
    """The network that most of so many units are those of."""
    of_small = _small_units(units) * SMALL_NETWORKS * SMALL_LAYERS
    most = min(_MOST_LARGE, units // 2)
    count = max(1, (units - of_small - most - CLASSES) // _LAYER_UNITS)
    names = [*(f"layer.{number:04}" for number in range(count)), LARGE, OUTPUT]
    sizes = [*([_LAYER_UNITS] * count), most, CLASSES]
    return Showcase(NETWORK, id_of("atl", NETWORK), _layers(names, sizes))


def small(units: int) -> Iterator[Showcase]:
    """The other networks."""
    for number in range(SMALL_NETWORKS):
        network = f"bench.small{number:02}"
        names = [f"layer.{at:04}" for at in range(SMALL_LAYERS)]
        yield Showcase(network, id_of("atl", network), _layers(names, [_small_units(units)] * SMALL_LAYERS))


def id_of(kind: str, name: str, moment: str = "01kb5e8r7w") -> str:
    """An id like those that are given, the same for the same name."""
    return f"{kind}_{moment}{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def register(session: Session, shown: Showcase) -> None:
    """Have the catalog know the network; nothing happens where it does."""
    weights = hashlib.sha256(shown.network.encode()).hexdigest()
    register_network(session, RegisterNetwork(id=shown.network))
    record_inspection(
        session,
        shown.network,
        weights_sha256=weights,
        preprocessing={"size": 224},
        labels=[f"class number {index}" for index in range(CLASSES)],
        layers=[
            LayerInfo(each.name, "output", each.units, None, None, None)
            if each.name == OUTPUT
            else LayerInfo(each.name, "conv", each.units, (7, 7), 99, 16, role="block")
            for each in shown.layers
        ],
    )


def fill(database: Database, shown: Showcase, said: Callable[[str], None]) -> None:
    """Write the atlas of a network with all its pictures, or what is lacking of it."""
    with database.session() as session:
        number = session.execute(text("SELECT no FROM atlases WHERE id = :id"), {"id": shown.atlas}).scalar()
        if number is None:
            register(session, shown)
            name = f"all of {shown.network}"
            number = layer_rows.atlas(session, shown.atlas, name, shown.network, shown.layers, published=True)
    for at in range(0, len(shown.layers), _AT_ONCE):
        layers = shown.layers[at : at + _AT_ONCE]
        with database.session() as session:
            if session.execute(_THERE, {"no": number, "layer": layers[-1].number}).scalar_one():
                continue
            said(f"{shown.network}/{layers[0].name} …")
            session.execute(text("SET LOCAL statement_timeout = 0"))
            # What the foreign keys point to is there.
            session.execute(text("SET LOCAL session_replication_role = replica"))
            layer_rows.finished(session, shown.network, layers, EYE)
            layer_rows.entered(session, shown.network, layers, number)
            names = [each.name for each in layers]
            session.execute(_LABELS, {"network": shown.network, "layers": names})
            _embed(session, shown.network, names)
            _add_jobs(session, shown, number, layers)


def shared(session: Session, shown: Showcase, name: str, first: int, layers: int) -> None:
    """Another atlas of the network, of some of its layers with the same pictures."""
    some = shown.layers[first : first + layers]
    id = id_of("atl", name, "01kb4a0000")
    if not session.execute(
        text("SELECT EXISTS (SELECT FROM atlases WHERE id = :id)"), {"id": id}
    ).scalar_one():
        number = layer_rows.atlas(session, id, name, shown.network, some, published=True)
        layer_rows.entered(session, shown.network, some, number)


def index_definitions(session: Session) -> dict[str, str]:
    """How those indexes are made that are built after loading. The approximate one as it is, but of fewer
    neighbours: it is built in a fraction of the time, and how well it finds is measured elsewhere."""
    rows = session.execute(
        text("SELECT indexname, indexdef FROM pg_indexes WHERE indexname = ANY(CAST(:names AS text[]))"),
        {"names": list(DEFERRED)},
    )
    found = {row.indexname: row.indexdef for row in rows}
    fewer = " WITH (m = 8, ef_construction = 32) WHERE "
    return {name: re.sub(r" WITH \(m=.*?\) WHERE ", fewer, made) for name, made in found.items()}


def _small_units(units: int) -> int:
    return max(8, units // 5 // (SMALL_NETWORKS * SMALL_LAYERS))


def _layers(names: Sequence[str], sizes: Sequence[int]) -> Sequence[LayerOfUnits]:
    return [LayerOfUnits(name, at, size) for at, (name, size) in enumerate(zip(names, sizes, strict=True))]


def _add_jobs(session: Session, shown: Showcase, atlas_no: int, layers: Sequence[LayerOfUnits]) -> None:
    for each in layers:
        id = id_of("job", f"{shown.network}/{each.name}", "01kb4a0000")
        given = {"id": id, "network": shown.network, "layer": each.name, "units": each.units}
        session.execute(_JOBS, {**given, "lost": each.unreachable, "no": atlas_no, "number": each.number})
        session.execute(_ITEMS, {"id": id, "no": atlas_no, "number": each.number})


def _embed(session: Session, network: str, layers: Sequence[str]) -> None:
    rows = session.execute(_DIGESTS, {"network": network, "layers": layers})
    places = np.random.default_rng(0).standard_normal((_NEAR, DIMENSIONS))
    for layer, found in groupby(rows, lambda row: row.layer):
        pictures = list(found)
        draw = np.random.default_rng(len(pictures) + int.from_bytes(f"{network}/{layer}".encode()[-6:]))
        vectors = places[draw.integers(_NEAR, size=len(pictures))]
        vectors = vectors + _SPREAD * draw.standard_normal(vectors.shape)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        units = np.array([row.unit for row in pictures])
        digests = [row.digest for row in pictures]
        copy_embeddings(session, embeddings_as_copied(digests, network, layer, units, vectors))
