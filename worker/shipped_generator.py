"""Making the generator that comes with the code known to the catalog, so that a first job needs no
preparation."""

import dataclasses
import json
from pathlib import Path

import structlog

from services import catalog
from services.database import Database
from services.errors import Conflict, Invalid
from worker.synthesis.generator_file import GeneratorFileError, file_sha256, read_info

SHIPPED = "shipped"
"""Location of the generator that lies where the setting `generator_path` says, not in the weights folder."""
log = structlog.get_logger()


def register_shipped_generator(database: Database, path: Path) -> None:
    """Register the file at `path` as the default generator. A file that cannot be used is reported, not
    fatal: jobs may name other generators. Raises `Unavailable` when the database is away.
    """
    if not path.is_file():
        log.warning("no_shipped_generator", path=str(path))
        return
    try:
        info, sha256 = read_info(path), file_sha256(path)
        # A release may ship better weights. Names stand for one file for ever, so the name says which.
        name = f"imago-{info.image_size}-{sha256[:8]}"
        described = json.loads(json.dumps(dataclasses.asdict(info)))  # tuples become lists
        with database.session() as session:
            catalog.register_generator(session, name, described, sha256, SHIPPED, default=True)
    except (GeneratorFileError, Invalid, Conflict) as error:
        log.error("shipped_generator_refused", path=str(path), error=str(error))
