"""Generators: which there are, and what each was made of and is used for."""

from functools import lru_cache
from pathlib import Path

from flask import Response, request
from markupsafe import Markup

from api.auth import principal, reader, requires, visitor
from api.context import context
from api.operations.pagination import next_path
from api.schemas.atlases import Atlas
from api.schemas.generators import Generator
from api.web.addresses import ServerAddresses
from api.web.captions import classes_of_pictures
from api.web.markdown import LONGEST, rendered
from api.web.site import blueprint, page, see
from api.web.small_pictures import small_among
from api.web.stored import opened
from services.access.ownership import may_change
from services.atlases import atlases
from services.base.storage import sha256_of_file
from services.catalog import generators, removal
from services.grids.made_with import made_with
from services.pictures.losses import Subject
from services.trainings import trainings
from services.trainings.trainings import TrainingView

GENERATORS_A_PAGE, ATLASES_SHOWN = 50, 20
PICTURES_OF_A_CARD, PICTURES_SHOWN = 6, 12


@blueprint.get("/generators")
@requires("read")
def list_of_generators() -> Response:
    """Generators by name."""
    cursor = request.args.get("cursor")
    with context().database.session() as session:
        found = generators.list_generators(session, cursor=cursor, limit=GENERATORS_A_PAGE)
        pictures = made_with(session, [one.id for one in found.data], PICTURES_OF_A_CARD)
    return page(
        "generators/generators.html",
        section="generators",
        generators=[Generator.of(generator) for generator in found.data],
        pictures=pictures,
        next=next_path(found.next_cursor) if found.next_cursor else None,
    )


@blueprint.get("/generators/<generator>")
@requires("read")
def generator(generator: str) -> Response:
    """A generator with some of its pictures, how it was trained, the atlases that are made with it, and its
    model card."""
    with context().database.session() as session:
        found = generators.get_generator(session, generator)
        training = trainings.of_generator(session, generator)
        using = atlases.made_with(session, generator, by=reader(), limit=ATLASES_SHOWN)
        pictures = made_with(session, [generator], PICTURES_SHOWN).get(generator, [])
        labels = classes_of_pictures(
            session, [(one.network, one.layer, one.unit, one.digest) for one in pictures]
        )
        small = small_among(session, [one.digest for one in pictures])
    who = visitor()
    owner = None if training is None else training.owner_key_id
    return page(
        "generators/generator.html",
        section="generators",
        generator=Generator.of(found),
        info=found.info,
        pictures=pictures,
        labels=labels,
        small=small,
        training=training,
        atlases=[Atlas.of(atlas) for atlas in using],
        model_card=_card(found, training),
        may_remove=who is not None and not found.is_default and may_change(owner, who),
    )


@blueprint.post("/generators/<generator>/remove")
@requires("jobs:write")
def remove_generator(generator: str) -> Response:
    """Remove it if nothing needs it, and show the others."""
    with context().database.session() as session:
        removal.remove_generator(session, generator, by=principal())
    return see(ServerAddresses().page("generators"))


def _card(generator: generators.Generator, training: TrainingView | None) -> Markup | None:
    """Its model card: the one that its training wrote, or the one that comes with the shipped generator."""
    if training is not None and training.card_object is not None:
        file = opened(training.card_object, Subject("card", training.id))
        if file is None:
            return None
        with file:
            return rendered(file.read(4 * LONGEST).decode(errors="replace"))
    shipped = context().settings.generator_path
    text = shipped.with_suffix(".md")
    if text.is_file() and generator.weights_sha256 == _sha256_of(shipped):
        return rendered(text.read_text())
    return None


@lru_cache(maxsize=1)
def _sha256_of(path: Path) -> str:
    return sha256_of_file(path) if path.is_file() else ""
