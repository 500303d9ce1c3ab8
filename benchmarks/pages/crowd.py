"""What else there is in the database of `benchmarks.pages`: jobs of one key, a queue, atlases, generators,
trainings, scans, a map and a comparison. One transaction each, so that a run that was stopped goes on."""

import hashlib
import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.grid import layer_rows
from benchmarks.grid.layer_rows import MAKING, LayerOfUnits
from benchmarks.pages.scene import LARGE, OUTPUT, Showcase, id_of, register, shared
from imago_engine.exemplars.quantiles import LEVELS
from imago_engine.trainings import TrainingChoices
from imago_engine.weights import EYE
from services.access import keys
from services.base.object_keys import training_key
from services.base.storage import ObjectStore
from services.catalog.generators import register_generator
from services.comparison import comparisons, figures

JOBS, OPEN_JOBS, FAILED_EACH = 20_000, 300, 1_000
"""Jobs that a list shows, those of them that wait, and of the others every which has failed."""
KEYS, GENERATORS, TRAININGS, SAMPLES, ATLASES_MORE = 50, 60, 200, 100, 120
WAITING, LAYERS_WAITING = "bench.waiting", 20
JOB_OF_MANY = id_of("job", "of many")
TRAINING = id_of("trn", "0")
_EXEMPLARS = 9
_ID = "'{kind}_01kb5e8r7w' || left(encode(sha256(convert_to(CAST(n AS text), 'UTF8')), 'hex'), 16)"
_FIRST = "(SELECT request, (SELECT min(id) FROM api_keys) AS owner FROM jobs ORDER BY id LIMIT 1) AS first"
_ENDED = f"""
    INSERT INTO jobs (id, state, lane, request, owner_key_id, request_hash, total, cached, done, failed,
        errors, turn, started_at, finished_at)
    SELECT {_ID.format(kind="job")}, CASE WHEN n % :failed_each = 7 THEN 'failed' ELSE 'succeeded' END,
        'interactive', first.request, first.owner, '', 4, 0, CASE WHEN n % :failed_each = 7 THEN 0 ELSE 4 END,
        CASE WHEN n % :failed_each = 7 THEN 4 ELSE 0 END, '{{}}', n, now(), now()
    FROM generate_series(1, :jobs - :open) AS n, {_FIRST}
"""
_OPEN = f"""
    INSERT INTO jobs (id, state, lane, request, owner_key_id, request_hash, total, cached, turn, parts)
    SELECT 'job_01kb6' || lpad(CAST(n AS text), 21, '0'), 'queued', 'interactive', first.request, first.owner,
        '', 8, 0, n, CAST(:parts AS jsonb)
    FROM generate_series(1, :open) AS n, {_FIRST}
"""
_OPEN_ITEMS = """
    INSERT INTO job_visualizations (job_id, ordinal, digest)
    SELECT jobs.id, waits.at, waits.digest FROM jobs, (
        SELECT digest, row_number() OVER (ORDER BY digest) - 1 AS at FROM (
            SELECT digest FROM visualizations WHERE state = 'queued' LIMIT 8
        ) AS eight
    ) AS waits
    WHERE jobs.state = 'queued' AND jobs.lane = 'interactive'
"""
_OF_MANY = f"""
    INSERT INTO jobs (id, state, lane, request, owner_key_id, request_hash, total, cached, done, unreachable,
        turn, started_at, finished_at)
    SELECT :id, 'succeeded', 'bulk', jsonb_set(jsonb_set(first.request, '{{network}}', to_jsonb(
            CAST(:network AS text))), '{{targets}}', jsonb_build_array(jsonb_build_object(
            'layer', CAST(:layer AS text), 'units', '0-' || (:units - 1)))),
        first.owner, '', :units, :units - :lost, :units - :lost, :lost, 0, now(), now() FROM {_FIRST}
"""
_OF_MANY_ITEMS = """
    INSERT INTO job_visualizations (job_id, ordinal, digest)
    SELECT :id, unit, digest FROM atlas_entries JOIN atlases ON atlases.no = atlas_no
    WHERE atlases.id = :atlas AND layer_no = :number
"""
_QUEUED = """
    UPDATE visualizations SET state = 'queued', lane = 'bulk', activation = NULL, score = NULL,
        finished_at = NULL, predictions = NULL, eye = NULL, batch_key = :key WHERE network_id = :network
"""
_QUEUED_JOBS = f"""
    INSERT INTO jobs (id, state, lane, request, request_hash, total, cached, turn, atlas_no, layer_no, parts)
    SELECT 'job_01kb5f' || lpad(CAST(l.layer_no AS text), 20, '0'), 'queued', 'bulk', jsonb_set(jsonb_set(
            first.request, '{{network}}', to_jsonb(CAST(:network AS text))), '{{targets}}', jsonb_build_array(
            jsonb_build_object('layer', l.layer, 'units', '0-' || (l.unit_count - 1)))),
        '', l.unit_count, 0, l.layer_no * 10000, l.atlas_no, l.layer_no,
        jsonb_set(CAST(:parts AS jsonb), '{{runs,0,1}}', to_jsonb(l.unit_count))
    FROM atlas_layers l, {_FIRST} WHERE l.atlas_no = :no
"""
_QUEUED_ITEMS = """
    INSERT INTO job_visualizations (job_id, ordinal, digest)
    SELECT jobs.id, unit, digest FROM atlas_entries e JOIN jobs USING (atlas_no, layer_no)
    WHERE e.atlas_no = :no
"""
_WORKERS = """
    INSERT INTO workers (id, host, device, state, heartbeat_seconds, seen_at)
    SELECT 'bench-' || n, 'host-' || n, 'cuda', 'running', 3600, now() + interval '1 year'
    FROM generate_series(1, 8) AS n
"""
_COSTS = """
    INSERT INTO learned_costs (device, batch_key, network_id, depth, generator_id, technique, steps,
        round_items, seconds, spread, batches)
    VALUES ('cuda', :key, :network, 1, 'bench', 'dgn-am', 200, 64, 12, 0.1, 9)
"""
_TRAININGS = f"""
    INSERT INTO trainings (id, name, state, request, request_hash, progress, log_object, created_at,
        started_at, finished_at)
    SELECT CASE WHEN n = 0 THEN :first ELSE {_ID.format(kind="trn")} END, 'training-' || n, 'canceled',
        CAST(:request AS jsonb), '', '{{}}', CASE WHEN n = 0 THEN CAST(:log AS text) END, now(), now(), now()
    FROM generate_series(0, :trainings - 1) AS n
"""
_SAMPLES = """
    INSERT INTO training_samples (training_id, pictures, held_out)
    SELECT :first, 10000 * n, '{"pixels": 0.1}' FROM generate_series(1, :samples) AS n
"""
_SCAN = """
    INSERT INTO scans (id, network_id, network_sha256, state, request, request_hash, progress, finished_at)
    SELECT :id, id, spec_sha256, 'succeeded', CAST(:request AS jsonb), '', '{"pictures": 50000}', now()
    FROM networks WHERE id = :network RETURNING no
"""
_STATISTICS = """
    INSERT INTO unit_statistics (scan_no, layer, unit, counted, non_zero, quantiles)
    SELECT :no, l.layer, u, 50000, CASE WHEN u % 500 = 3 THEN 0 ELSE 0.5 END, CAST(:quantiles AS real[])
    FROM unnest(CAST(:layers AS text[]), CAST(:counts AS int[])) AS l (layer, units)
    CROSS JOIN LATERAL generate_series(0, l.units - 1) AS u
"""
_FOUND = """
    INSERT INTO exemplars (scan_no, layer, unit, rank, activation, picture, pack, start, length)
    SELECT :no, l.layer, u, rank, 20 - rank, 'photograph-' || rank, 0, 0, 10
    FROM unnest(CAST(:layers AS text[]), CAST(:counts AS int[])) AS l (layer, units)
    CROSS JOIN LATERAL generate_series(0, l.units - 1) AS u
    CROSS JOIN generate_series(0, :exemplars - 1) AS rank
"""
_MAP = """
    INSERT INTO maps (name, eye, units, fitted, layers, labels, points_object, points_bytes)
    VALUES ('bench', :eye, :units, 100000, CAST(:layers AS jsonb), CAST(:labels AS jsonb), 'bench', 1000)
"""
_ATLAS_MAP = """
    INSERT INTO atlas_maps (atlas_no, number, eye, map, pictures, unseen, final)
    SELECT no, 1, :eye, 'bench', :units, 0, true FROM atlases WHERE id = :atlas
"""
_COMPARED = """
    INSERT INTO compared_units (comparison, layer, unit, distance, a_digest, b_digest, a_activation,
        b_activation, same_label)
    SELECT :no, c.ordinal, e.unit, random(), decode(e.digest, 'hex'), decode(e.digest, 'hex'), 10, 11, true
    FROM compared_layers c JOIN comparisons ON comparisons.no = c.comparison
    JOIN atlas_entries e ON e.atlas_no = comparisons.b_no AND e.layer_no = c.b_layer_no
    WHERE c.comparison = :no
"""


def key(session: Session) -> str:
    """The token of a key for everything, which most jobs are owned by, and further keys."""
    token = keys.create_key(session, "bench", keys.SCOPES)[1]
    session.execute(text("UPDATE api_keys SET id = '00000000', prefix = 'imago_00000000'"))
    for number in range(KEYS):
        keys.create_key(session, f"key {number}", ["read"])
    return f"imago_00000000_{token.split('_', 2)[2]}"


def queue(session: Session, units: int) -> None:
    """An atlas all of whose pictures wait, and workers of whom it is known how quick they are."""
    each = max(8, units // 10 // LAYERS_WAITING)
    layers = [LayerOfUnits(f"layer.{at:04}", at, each) for at in range(LAYERS_WAITING)]
    register(session, Showcase(WAITING, "", layers))
    no = layer_rows.atlas(session, id_of("atl", WAITING), "all that waits", WAITING, layers, published=False)
    layer_rows.finished(session, WAITING, layers)
    layer_rows.entered(session, WAITING, layers, no)
    given = {"network": WAITING, "no": no, "key": MAKING["batch_key"], "parts": _parts(each)}
    for statement in (_QUEUED, _QUEUED_JOBS, _QUEUED_ITEMS, _WORKERS, _COSTS):
        session.execute(text(statement), given)
    session.execute(
        text(
            "DELETE FROM artifacts USING visualizations v WHERE v.digest = artifacts.digest"
            " AND v.network_id = :network"
        ),
        given,
    )


def jobs(session: Session, shown: Showcase) -> None:
    """Jobs of the key: ended ones, such as wait, and one of all units of the large layer."""
    given = {"jobs": JOBS, "open": OPEN_JOBS, "failed_each": FAILED_EACH, "parts": _parts(8)}
    for statement in (_ENDED, _OPEN, _OPEN_ITEMS):
        session.execute(text(statement), given)
    large = next(each for each in shown.layers if each.name == LARGE)
    given |= {"id": JOB_OF_MANY, "network": shown.network, "layer": LARGE, "units": large.units}
    given |= {"lost": large.unreachable, "atlas": shown.atlas, "number": large.number}
    for statement in (_OF_MANY, _OF_MANY_ITEMS):
        session.execute(text(statement), given)


def atlases(session: Session, networks: list[Showcase]) -> None:
    """More atlases, of parts of the networks."""
    for number in range(ATLASES_MORE):
        shared(session, networks[number % len(networks)], f"more {number}", number % 40, 10)


def generators_and_trainings(session: Session, store: ObjectStore) -> None:
    """Generators, trainings, and of one of these a long log and many samples."""
    info: dict[str, Any] = {
        "architecture": "compact",
        "code_shape": [16],
        "image_size": 128,
        "encoder": "bench.reads",
        "recommended": {"learning_rate": 0.5, "steps": 20},
    }
    for number in range(GENERATORS):
        register_generator(session, f"bench-{number}", info, f"{number:064x}")
    losses = {"pixels": 0.1, "features": 0.2, "adversarial": 0.3, "realism": 0.4}
    lines = [
        json.dumps({"pictures": 640 * at, "seconds": 60 * at, "rate": 10.5, "waiting": 0.01, **losses})
        for at in range(20_000)
    ]
    written = "\n".join(lines).encode()
    log = training_key(TRAINING, 1, hashlib.sha256(written).hexdigest(), "jsonl")
    store.put_under(log, written, "application/json")
    request = {
        "sources": ["photographs"],
        "encoder": {"network": "bench.reads"},
        "preset": "default",
        "options": {},
    }
    request |= {
        name: field.default for name, field in TrainingChoices.model_fields.items() if not field.is_required()
    }
    given = {"first": TRAINING, "log": log, "request": json.dumps(request, default=str)}
    session.execute(text(_TRAININGS), {**given, "trainings": TRAININGS})
    session.execute(text(_SAMPLES), {"first": TRAINING, "samples": SAMPLES})


def scan(session: Session, shown: Showcase) -> None:
    """A scan that watched the large layer and some others, with exemplars of these."""
    large = next(each for each in shown.layers if each.name == LARGE)
    others = [each for each in shown.layers if each.name not in (LARGE, OUTPUT)]
    watched = [*others[:5], large]
    request = {"sources": ["photographs"], "layers": "blocks", "exemplars": _EXEMPLARS}
    request |= {"input_size": 224, "layer_names": [each.name for each in watched]}
    given: dict[str, Any] = {
        "id": id_of("scn", "scan"),
        "network": shown.network,
        "request": json.dumps(request),
    }
    given["no"] = session.execute(text(_SCAN), given).scalar_one()
    given |= {"layers": [each.name for each in watched], "counts": [each.units for each in watched]}
    session.execute(text(_STATISTICS), {**given, "quantiles": [40 * level for level in LEVELS]})
    given |= {"layers": given["layers"][:-1], "counts": given["counts"][:-1], "exemplars": _EXEMPLARS}
    session.execute(text(_FOUND), given)


def a_map(session: Session, shown: Showcase) -> None:
    """The row of a map of all units; nothing lies in the store, for pages do not read it."""
    names = json.dumps([each.name for each in shown.layers])
    labels = [
        [
            {"label": f"class number {at}", "x": at / count, "y": 0.5, "units": 10, "of": 20}
            for at in range(count)
        ]
        for count in (8, 40, 200)
    ]
    units = sum(each.units - each.unreachable for each in shown.layers)
    session.execute(text(_MAP), {"eye": EYE, "units": units, "layers": names, "labels": json.dumps(labels)})
    session.execute(text(_ATLAS_MAP), {"eye": EYE, "units": units, "atlas": shown.atlas})


def comparison(session: Session, shown: Showcase) -> None:
    """The comparison of the large atlas with another one of the large layer and some more."""
    first = len(shown.layers) - min(10, len(shown.layers))
    shared(session, shown, "compared", first, 10)
    found = comparisons.find(session, shown.atlas, compared_with())
    session.execute(text(_COMPARED), {"no": found.no})
    for layer in found.layers:
        done: dict[str, Any] = {"seen": layer.unit_count, "no": found.no, "ordinal": layer.ordinal}
        done["figures"] = json.dumps(figures.of_layer(session, found.no, layer.ordinal))
        session.execute(
            text(
                "UPDATE compared_layers SET seen = :seen, figures = CAST(:figures AS jsonb)"
                " WHERE comparison = :no AND ordinal = :ordinal"
            ),
            done,
        )
    session.execute(
        text("UPDATE comparisons SET made_at = now(), lacking = false WHERE no = :no"), {"no": found.no}
    )
    session.execute(text("DELETE FROM work"))


def compared_with() -> str:
    """The atlas that the large one is compared with."""
    return id_of("atl", "compared", "01kb4a0000")


def _parts(items: int) -> str:
    kind = {"network": WAITING, "depth": 1, "generator": "bench", "technique": "dgn-am", "steps": 200}
    return json.dumps(
        {"kinds": {MAKING["batch_key"]: {**kind, "input_size": None}}, "runs": [[MAKING["batch_key"], items]]}
    )


def waiting_atlas() -> str:
    """The atlas all of whose pictures wait."""
    return id_of("atl", WAITING)


def waiting_job() -> str:
    """The last of the small jobs that wait."""
    return f"job_01kb6{OPEN_JOBS:021}"
