"""Begin the import of an exported atlas, or find one that goes on: its manifest is checked, what its pictures
are of and made by is looked up, and an atlas is made that nobody sees until it is whole.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.canonical import sha256_of
from imago_engine.objectives import UnitObjective
from imago_engine.specs import Recipe, Spec
from imago_engine.techniques import RecipeError, all_techniques
from imago_engine.units import UnitsError, read_units
from services.access.idempotency import replayed
from services.access.keys import Principal
from services.access.ownership import owner_of
from services.atlases import subjects
from services.atlases.layer_plans import MOST_PICTURES
from services.atlases.tables import AtlasLayerRow, AtlasRow, AtlasVersionRow
from services.base.errors import Conflict, FieldError, Invalid, field_errors, pointer
from services.base.ids import new_id
from services.base.states import AtlasWish, Visibility
from services.catalog.generators import register_absent
from services.catalog.network_request import RegisterNetwork, in_words
from services.catalog.networks import register_network
from services.catalog.tables import LayerRow, NetworkRow
from services.exports.manifest import AtlasManifest, ExportedLayer
from services.exports.tables import AtlasImportRow
from services.pictures.tables import RecipeRow

_OF_NETWORK = ("source", "architecture", "weights", "classes")
_STATED = tuple(in_words(None, {}))
_IS_ABANDONED = """
    a.wish = 'import' AND EXISTS (
        SELECT FROM atlas_imports i WHERE i.atlas_no = a.no AND i.touched_at < now() - interval '1 day')
"""
_ABANDONED = text(f"SELECT a.id FROM atlases a WHERE {_IS_ABANDONED} ORDER BY a.id")
# Whoever goes on with an import holds its atlas. A statement of its own, after that of the lock, sees what
# they have committed before.
_LOCK = text("""
    SELECT no FROM atlases WHERE id = ANY(CAST(:ids AS text[])) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")
_LET_GO = text(f"""
    UPDATE atlases a SET wish = 'delete', idempotency_key = NULL
    WHERE a.no = ANY(CAST(:nos AS bigint[])) AND {_IS_ABANDONED} RETURNING a.id
""")


@dataclass(frozen=True)
class Import:
    """How far an import is: `received` of `entries` lines. `atlas` can be seen once it is `complete`."""

    atlas: str
    entries: int
    received: int

    @property
    def complete(self) -> bool:
        """Whether the atlas is whole."""
        return self.received == self.entries


def begin(session: Session, manifest: AtlasManifest, *, by: Principal | None = None) -> Import:
    """Make the atlas of a manifest; the same manifest again gives the one there is, and how far it is.

    In the caller's transaction. Raises `Invalid` for a manifest that contradicts itself, `Conflict` while
    an earlier import of it is begun.
    """
    _check(manifest)
    owner = owner_of(by)
    known_as = sha256_of(manifest.model_dump(mode="json", exclude={"network_now"}))
    key = f"import:{known_as}"
    row = replayed(session, AtlasRow, owner, key, [known_as])
    if row is not None:
        return _standing(session, row, manifest)
    generators = _generators(session, manifest)
    _know_network(session, manifest, by)
    no = session.scalar(
        insert(AtlasRow)
        .values(
            id=new_id("atl"),
            name=manifest.name,
            network_id=manifest.network,
            owner_key_id=owner,
            visibility=Visibility.PRIVATE,
            wish=AtlasWish.IMPORT,
            idempotency_key=key,
            request_hash=known_as,
        )
        .on_conflict_do_nothing()
        .returning(AtlasRow.no)
    )
    if no is None:
        raise Conflict("This export is being imported at the same moment; try again.")
    row = session.get_one(AtlasRow, no)
    session.add(_version(row, manifest, generators))
    session.add_all(
        _layer_row(row, layer_no, layer, manifest, generators)
        for layer_no, layer in enumerate(manifest.layers)
    )
    session.add(
        AtlasImportRow(atlas_no=no, manifest=manifest.model_dump(mode="json", exclude={"network_now"}))
    )
    _know_recipes(session, manifest)
    session.flush()
    return Import(row.id, manifest.entries, 0)


def let_go_abandoned(session: Session) -> int:
    """Have workers remove imports that nobody has gone on with for a day, as if their owners had ended them;
    returns how many. Their pictures stay: each was checked by itself."""
    abandoned = session.scalars(_ABANDONED).all()
    # Before their rows are locked; where somebody goes on with one meanwhile there is nothing to carry out.
    for id in abandoned:
        subjects.plan(session, id)
    held = session.scalars(_LOCK, {"ids": abandoned}).all()
    return len(session.scalars(_LET_GO, {"nos": held}).all())


def _standing(session: Session, row: AtlasRow, manifest: AtlasManifest) -> Import:
    """How far it is. Whoever asks goes on with it, so nobody lets it go as abandoned from now on."""
    if session.get(AtlasImportRow, row.no) is None:
        return Import(row.id, manifest.entries, manifest.entries)
    query = sa.select(AtlasRow).where(AtlasRow.no == row.no).with_for_update(key_share=True)
    held = session.scalars(query.execution_options(populate_existing=True)).first()
    if held is None or held.wish == AtlasWish.DELETE:
        raise Conflict("This import is being ended at the same moment; try again.")
    going_on = session.get(AtlasImportRow, row.no, populate_existing=True)
    if going_on is None:
        return Import(row.id, manifest.entries, manifest.entries)
    going_on.touched_at = sa.func.now()
    received = going_on.received
    session.flush()
    return Import(row.id, manifest.entries, received)


def _check(manifest: AtlasManifest) -> None:
    errors: list[FieldError] = []
    names = [layer.layer for layer in manifest.layers]
    if len({*names}) < len(names):
        errors.append(FieldError("/layers", "name a layer twice"))
    if sum(layer.lines for layer in manifest.layers) != manifest.entries:
        errors.append(FieldError("/entries", "is not how many lines the layers have"))
    if manifest.entries > MOST_PICTURES:
        errors.append(FieldError("/entries", f"are more than an atlas may have, {MOST_PICTURES}"))
    for number, layer in enumerate(manifest.layers):
        if not layer.pictures + layer.unreachable == layer.lines <= layer.unit_count * layer.facets:
            errors.append(FieldError(pointer("layers", number, "lines"), "is not how many pictures it has"))
    for digest, recipe in manifest.recipes.items():
        try:
            right = Recipe(recipe.technique, recipe.parameters).digest == digest
        except (RecipeError, ValueError, TypeError):
            right = False
        if not right:
            errors.append(FieldError(pointer("recipes", digest), "is not the digest of this recipe"))
    if errors:
        raise Invalid(errors)


def _generators(session: Session, manifest: AtlasManifest) -> dict[str, str]:
    """By the hash of its file, the name that each generator has here; of one whose file is not here, what is
    known of it is written down."""
    names = {}
    for number, generator in sorted(enumerate(manifest.generators), key=lambda each: each[1].id):
        known = generator.model_dump(exclude={"id", "weights_sha256"})
        try:
            name = register_absent(session, generator.id, known, generator.weights_sha256)
        except Invalid as error:
            at = pointer("generators", number)
            raise error.told_at({"/name": f"{at}/id", "/info": at}) from None
        names[generator.weights_sha256] = name
    return names


def _know_network(session: Session, manifest: AtlasManifest, by: Principal | None) -> None:
    """Have the network registered, and its layers known, though nothing here can compute them yet.

    Where the network has other weights here, the atlas is outdated from the beginning: it can be read, and
    nothing added.
    """
    now = manifest.network_now
    if session.get(NetworkRow, manifest.network) is None:
        _register(session, manifest, by)
    row = session.get_one(NetworkRow, manifest.network)
    if now is not None and row.weights_sha256 is None and not row.labels:
        # Until a worker has inspected it, which may never be where its weights are not here.
        row.labels = list(now.labels)
        session.flush()
    query = sa.select(LayerRow.name, LayerRow.units).where(LayerRow.network_id == manifest.network)
    there = {row.name: row.units for row in session.execute(query)}
    for number, layer in enumerate(manifest.layers):
        if layer.layer not in there:
            there[layer.layer] = _add_layer(session, manifest.network, layer, number)
        _check_units(layer, there[layer.layer], number)


def _register(session: Session, manifest: AtlasManifest, by: Principal | None) -> None:
    """Register the network as it is registered where the export comes from: what is stated of it is part of
    what its pictures are named by, and whoever states something else later is refused."""
    now = manifest.network_now
    request: dict[str, Any] = {"id": manifest.network}
    places = {"/id": "/network"} | {f"/{name}": f"/network_now/{name}" for name in _OF_NETWORK}
    if now is not None:
        request["source"] = now.source
        if now.source == "file":
            request |= {"architecture": now.architecture, "weights": now.weights, "classes": now.classes}
        if now.stated is not None:
            request |= {name: now.stated.get(name) for name in _STATED}
            places |= {f"/{name}": f"/network_now/stated/{name}" for name in _STATED}
        elif (
            None not in (now.weights_sha256, now.network_sha256) and now.weights_sha256 != now.network_sha256
        ):
            raise Invalid.field(
                "/network_now/stated",
                "is missing, though by its hash the network is more than its weights: register "
                f"{manifest.network} here as it is registered there, then import the atlas again",
            )
    try:
        register_network(session, RegisterNetwork.model_validate(request), by=by)
    except ValidationError as error:
        raise Invalid(field_errors(error)).told_at(places) from None
    except Invalid as error:
        raise error.told_at(places) from None


def _check_units(layer: ExportedLayer, count: int, number: int) -> None:
    at = pointer("layers", number, "units")
    try:
        chosen = read_units(layer.units).of(count)
    except UnitsError as error:
        raise Invalid.field(at, str(error)) from None
    if len(chosen) != layer.unit_count:
        raise Invalid.field(at, f"are {len(chosen)} of the {count} of {layer.layer}, not {layer.unit_count}")


def _add_layer(session: Session, network: str, layer: ExportedLayer, number: int) -> int:
    """A layer that no inspection has found here: its pictures are shown, and it is no current one. Returns
    how many units it has."""
    found = layer.in_network
    if found is None:
        raise Invalid.field(
            pointer("layers", number, "in_network"), f"does not tell what {layer.layer} is, nor is it known"
        )
    values = found.model_dump()
    values |= {"network_id": network, "name": layer.layer, "is_current": False}
    if (
        (found.tokens is None) != (found.usual_token is None)
        or (found.height is None) != (found.width is None)
        or None not in (found.tokens, found.height)
        or None not in (found.role, found.twin_of)
        or found.class_token not in (None, found.usual_token)
    ):
        raise Invalid.field(pointer("layers", number, "in_network"), "contradicts itself")
    session.execute(insert(LayerRow).values(**values).on_conflict_do_nothing())
    return found.units


def _know_recipes(session: Session, manifest: AtlasManifest) -> None:
    rows = [
        {"digest": digest, "technique": recipe.technique, "parameters": recipe.parameters}
        for digest, recipe in sorted(manifest.recipes.items())
    ]
    if rows:
        session.execute(insert(RecipeRow).on_conflict_do_nothing(), rows)


def _version(row: AtlasRow, manifest: AtlasManifest, generators: dict[str, str]) -> AtlasVersionRow:
    recipe = {"technique": "auto", "parameters": {}}
    names = sorted(generators.values())
    return AtlasVersionRow(
        atlas_no=row.no,
        number=1,
        request={
            "layers": [layer.layer for layer in manifest.layers],
            "units": manifest.layers[0].units,
            "facets": max(layer.facets for layer in manifest.layers),
            "recipe": recipe,
            "generator": names[0] if names else None,
            "imported": {"atlas": manifest.atlas, "version": manifest.version},
        },
        network_sha256=manifest.network_sha256,
        generator_id=names[0] if names else None,
    )


def _layer_row(
    row: AtlasRow,
    layer_no: int,
    layer: ExportedLayer,
    manifest: AtlasManifest,
    generators: dict[str, str],
) -> AtlasLayerRow:
    sha256 = next((each.weights_sha256 for each in manifest.generators if each.id == layer.generator), None)
    technique = all_techniques().get(layer.technique)
    spec = Spec(
        network=manifest.network,
        network_sha256=manifest.network_sha256,
        objective=UnitObjective(layer=layer.layer, unit=0, position=None),
        technique=layer.technique,
        parameters=layer.parameters,
        seed=0,
        version=technique.version if technique else "1",
        source=sha256,
    )
    steps, size = layer.parameters.get("steps"), layer.parameters.get("input_size")
    if not (isinstance(steps, int) and 0 < steps < 2**31 and isinstance(size, int | None)):
        raise Invalid.field(pointer("layers", layer_no, "parameters"), "have no number of steps, or no size")
    making = {
        "technique": layer.technique,
        "parameters": layer.parameters,
        "generator": None if sha256 is None else generators[sha256],
        "batch_key": spec.batch_key,
    }
    return AtlasLayerRow(
        atlas_no=row.no,
        layer_no=layer_no,
        layer=layer.layer,
        ordinal=layer.ordinal,
        units=layer.units,
        unit_count=layer.unit_count,
        facets=layer.facets,
        making=making,
    )
