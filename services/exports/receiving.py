"""Take entries of an import, a slice at a time: their objects first, then their rows in one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.candidates import SEED_STEP
from imago_engine.objectives import objective_at
from imago_engine.specs import Spec
from services.access.keys import Principal
from services.access.ownership import check_may_change
from services.atlases.tables import AtlasRow
from services.atlases.visibility import sees
from services.base.database import Database
from services.base.errors import Conflict, Invalid, NotFound, pointer
from services.base.states import AtlasWish, State
from services.base.storage import ObjectStore
from services.catalog.tables import GeneratorRow
from services.exports.beginning import Import
from services.exports.completion import complete
from services.exports.manifest import AtlasManifest, EntrySlice, ExportedEntry
from services.exports.pictures import ImportedPicture, picture_of
from services.exports.tables import AtlasImportRow
from services.jobs.job_counters import Change, update_counters
from services.jobs.requeuing import WITHOUT_PICTURE
from services.pictures import artifacts
from services.pictures.artifacts import StoredArtifact
from services.upkeep import collected

_INSERT = text("""
    WITH item AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS item (
            digest text, layer text, unit int, position_y int, position_x int, token int, generator text,
            recipe text, seed int, engine text, batch_key text, state text, error jsonb, activation real,
            score real, predictions jsonb, crop_box jsonb, provenance jsonb, finished_at timestamptz)
    ), added AS (
        INSERT INTO visualizations (
            digest, network_id, network_sha256, layer, unit, position_y, position_x, token, generator_id,
            recipe_digest, seed, engine, batch_key, state, lane, queue_order, error, activation, score,
            predictions, crop_box, provenance, finished_at)
        SELECT digest, :network, :network_sha256, layer, unit, position_y, position_x, token, generator,
            recipe, seed, engine, batch_key, state, 'bulk', 0, error, activation, score, predictions,
            crop_box, provenance, coalesce(finished_at, now())
        FROM item ORDER BY digest
        ON CONFLICT (digest) DO NOTHING RETURNING digest
    )
    SELECT digest FROM added
""")
# Final rows never change again and need no lock.
_LOCK = text("""
    SELECT digest, state, lease_id, error FROM visualizations
    WHERE digest = ANY(CAST(:digests AS text[])) AND state NOT IN ('done', 'unreachable')
    ORDER BY digest FOR NO KEY UPDATE
""")
# It ends now, not when it was made elsewhere: whoever watches a job that wants it is told what ended lately.
_TAKE_OVER = text("""
    UPDATE visualizations v SET
        state = item.state, not_before = NULL, error = item.error, activation = item.activation,
        score = item.score, predictions = item.predictions, crop_box = item.crop_box,
        provenance = item.provenance, finished_at = clock_timestamp()
    FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS item (
        digest text, state text, error jsonb, activation real, score real, predictions jsonb, crop_box jsonb,
        provenance jsonb)
    WHERE v.digest = item.digest
""")
_STATES = text("SELECT digest, state FROM visualizations WHERE digest = ANY(CAST(:digests AS text[]))")
_ENTER = text("""
    INSERT INTO atlas_entries (atlas_no, layer_no, unit, facet, since, digest)
    SELECT :no, layer_no, unit, facet, 1, digest FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS item (
        layer_no smallint, unit int, facet smallint, digest text)
    ON CONFLICT DO NOTHING RETURNING layer_no, unit, facet
""")


def receive(
    database: Database, store: ObjectStore, atlas: str, sent: EntrySlice, *, by: Principal | None = None
) -> Import:
    """Take the entries that follow those that are there; the last ones complete the atlas. Entries that are
    there already are passed over, so that a slice may be sent again.

    Raises `NotFound` where no such import goes on, `Conflict` where entries before these are missing, or a
    picture is waited for here or came to another end, `Invalid` for what is not what it says. Nothing is
    written then.
    """
    with database.session() as session:
        row, going_on = _going_on(session, atlas, by)
        manifest = AtlasManifest.model_validate(going_on.manifest)
        if sent.first + len(sent.entries) <= going_on.received:
            return Import(row.id, manifest.entries, going_on.received)
        _check_place(sent, manifest, going_on.received)
        query = sa.select(GeneratorRow.weights_sha256, GeneratorRow.id)
        sources = {row.weights_sha256: row.id for row in session.execute(query)}
        began = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    layers = {layer.layer: number for number, layer in enumerate(manifest.layers)}
    specs = [_spec(entry, number, manifest, layers) for number, entry in enumerate(sent.entries)]
    pictures = [picture_of(entry, number) for number, entry in enumerate(sent.entries)]
    stored = {
        entry.digest: artifacts.put(store, picture.artifact)
        for entry, picture in zip(sent.entries, pictures, strict=True)
        if picture is not None
    }
    with database.session() as session:
        collected.guard(session, [artifact.object for artifact in stored.values()], began)
        row, going_on = _going_on(session, atlas, by, locked=True)
        if sent.first != going_on.received:
            # Another request was quicker; whoever sent this one goes on from what is there.
            return Import(row.id, manifest.entries, going_on.received)
        items = [
            _item(entry, spec, picture, sources, layers)
            for entry, spec, picture in zip(sent.entries, specs, pictures, strict=True)
        ]
        _insert(session, items, stored, manifest)
        _enter(session, row, items)
        going_on.received += len(items)
        going_on.touched_at = sa.func.now()
        session.flush()
        standing = Import(row.id, manifest.entries, going_on.received)
        if standing.complete:
            complete(session, row, manifest)
            session.delete(going_on)
        return standing


def _going_on(
    session: Session, atlas: str, by: Principal | None, *, locked: bool = False
) -> tuple[AtlasRow, AtlasImportRow]:
    query = sa.select(AtlasRow).where(AtlasRow.id == atlas)
    if locked:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = session.scalars(query).first()
    if row is None or row.wish == AtlasWish.DELETE:
        raise NotFound("import", atlas, "POST /v1/atlases:import begins one.")
    going_on = session.get(AtlasImportRow, row.no, populate_existing=True)
    if going_on is None:
        if not sees(row, by):
            raise NotFound("import", atlas, "POST /v1/atlases:import begins one.")
        raise Conflict(f"The atlas {atlas} is not being imported: it is whole, or was not imported.")
    check_may_change(row, by)
    return row, going_on


def _check_place(sent: EntrySlice, manifest: AtlasManifest, received: int) -> None:
    if sent.first != received:
        raise Conflict(f"Entry {received} is the next one; got {sent.first}.")
    if received + len(sent.entries) > manifest.entries:
        raise Invalid.field("/entries", f"go beyond the {manifest.entries} of the manifest")


def _spec(entry: ExportedEntry, number: int, manifest: AtlasManifest, layers: Mapping[str, int]) -> Spec:
    """Raises `Invalid` where the digest is not that of what the picture is said to be of and made by."""
    at = ("entries", number)
    recipe = manifest.recipes.get(entry.recipe)
    if recipe is None:
        raise Invalid.field(pointer(*at, "recipe"), "is none of the manifest's")
    if entry.layer not in layers:
        raise Invalid.field(pointer(*at, "layer"), "is none of the manifest's")
    known = {generator.weights_sha256 for generator in manifest.generators}
    if entry.generator_sha256 is not None and entry.generator_sha256 not in known:
        raise Invalid.field(pointer(*at, "generator_sha256"), "is none of the manifest's")
    try:
        spec = Spec(
            network=manifest.network,
            network_sha256=manifest.network_sha256,
            objective=objective_at(entry.layer, entry.unit, position=entry.position, token=entry.token),
            technique=recipe.technique,
            parameters=recipe.parameters,
            seed=entry.seed,
            version=entry.engine,
            source=entry.generator_sha256,
        )
        right = spec.digest == entry.digest
    except ValueError:
        right = False
    if not right:
        raise Invalid.field(
            pointer(*at, "digest"), f"is not that of {entry.layer}/{entry.unit} made as the entry says"
        )
    if entry.seed % SEED_STEP != entry.facet:
        wanted = f"expected {entry.seed % SEED_STEP}, as the seed {entry.seed} says"
        raise Invalid.field(pointer(*at, "facet"), f"is not that of the picture: {wanted}")
    return spec


def _enter(session: Session, row: AtlasRow, items: Sequence[Mapping[str, Any]]) -> None:
    """Raises `Invalid` where a facet of a unit is told of a second time."""
    entered = session.execute(_ENTER, {"no": row.no, "items": json.dumps(items)})
    places = {(place.layer_no, place.unit, place.facet) for place in entered}
    for number, item in enumerate(items):
        place = item["layer_no"], item["unit"], item["facet"]
        if place not in places:
            named = "{layer}/{unit}, facet {facet}".format(**item)
            raise Invalid.field(pointer("entries", number), f"tells of {named}, a second time")
        places.remove(place)


def _item(
    entry: ExportedEntry,
    spec: Spec,
    picture: ImportedPicture | None,
    sources: Mapping[str, str],
    layers: Mapping[str, int],
) -> dict[str, Any]:
    """What the statements read of an entry."""
    y, x = entry.position or (None, None)
    # Not of which atlas: others may have the same picture. That is told by the atlas's version.
    made = {**(entry.provenance or {}), "imported": {"changed": bool(picture and picture.changed)}}
    done = entry.state == "done"
    return {
        "digest": entry.digest,
        "layer": entry.layer,
        "layer_no": layers[entry.layer],
        "unit": entry.unit,
        "facet": entry.facet,
        "position_y": y,
        "position_x": x,
        "token": entry.token,
        "generator": None if entry.generator_sha256 is None else sources[entry.generator_sha256],
        "recipe": entry.recipe,
        "seed": entry.seed,
        "engine": entry.engine,
        "batch_key": spec.batch_key,
        "state": entry.state,
        "error": entry.error.model_dump() if entry.error else None,
        "activation": entry.activation if done else None,
        "score": entry.score if done else None,
        "predictions": [[said.index, said.probability] for said in entry.predictions]
        if done and entry.predictions is not None
        else None,
        "crop_box": entry.crop_box if done else None,
        "provenance": made if done else None,
        "finished_at": entry.finished_at.isoformat() if entry.finished_at else None,
    }


def _insert(
    session: Session,
    items: Sequence[Mapping[str, Any]],
    stored: Mapping[str, StoredArtifact],
    manifest: AtlasManifest,
) -> None:
    """Insert the visualizations that are not here. One that is here stays as it is, with its picture; one
    that ended here without a picture, and waits for nobody, becomes the imported one.

    Locks jobs, so call it once in a transaction. Raises `Conflict`.
    """
    wanted = {item["digest"]: item for item in items}
    added = set(
        session.scalars(
            _INSERT,
            {
                "items": json.dumps(items),
                "network": manifest.network,
                "network_sha256": manifest.network_sha256,
            },
        )
    )
    there = session.execute(_LOCK, {"digests": list(wanted.keys() - added)}).all()
    taken_over = {
        row.digest: Change(State(row.state), State(wanted[row.digest]["state"]), row.error)
        for row in there
        if row.state in WITHOUT_PICTURE and row.lease_id is None
    }
    session.execute(_TAKE_OVER, {"items": json.dumps([wanted[digest] for digest in taken_over])})
    for digest, state in session.execute(_STATES, {"digests": list(wanted)}):
        if state != wanted[digest]["state"]:
            raise Conflict(_differs(digest, State(state), wanted[digest]["state"]))
    results = [
        {"digest": digest, "artifacts": [asdict(artifact)]}
        for digest, artifact in stored.items()
        if digest in added or digest in taken_over
    ]
    session.execute(text(artifacts.INSERT), {"results": json.dumps(results)})
    update_counters(session, taken_over)


def _differs(digest: str, here: State, sent: str) -> str:
    said = f"The picture {digest} is {here} here, and {sent} in the export"
    if here in (State.DONE, State.UNREACHABLE):
        return f"{said}: one of the two is wrong. What is here stays, so this export cannot be imported."
    return f"{said}; import it again when nothing waits for it here."
