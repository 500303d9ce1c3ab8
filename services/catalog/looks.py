"""What was measured of a network with a generator: where it lies in the store, by all that determines it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.canonical import sha256_of
from services.base.database import Database
from services.base.object_keys import look_key
from services.base.storage import ObjectStore
from services.catalog.tables import LookRow
from services.upkeep import collected

_NOTE = text("""
    INSERT INTO looks (name, network_id, generator_id, object)
    SELECT :name, n.id, g.id, :key FROM networks n CROSS JOIN generators g
    WHERE n.id = :network AND g.id = :generator FOR KEY SHARE
    ON CONFLICT (name) DO NOTHING
""")


@dataclass(frozen=True)
class Pair:
    """A network, as specs name it by its hash, and a generator."""

    network_id: str
    network_sha256: str
    generator_id: str
    generator_sha256: str

    def name(self, facts: Mapping[str, Any]) -> str:
        """The SHA-256 of all that determines a measurement; `facts` are the rest of it, as JSON."""
        return sha256_of({"network": self.network_sha256, "generator": self.generator_sha256, **facts})


def object_of(session: Session, name: str) -> str | None:
    """The key of the object that holds it; None where nobody has measured it yet."""
    return session.scalars(sa.select(LookRow.object).where(LookRow.name == name)).first()


def keep(database: Database, store: ObjectStore, pair: Pair, name: str, data: bytes) -> None:
    """Put a measurement into the store and note where it lies. Of two the first counts; of a network or a
    generator that was removed meanwhile nothing is kept.

    Raises `Unavailable`.
    """
    with database.session() as session:
        began = session.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    key = look_key(data)
    store.put_under(key, data, "application/octet-stream")  # first the object, then the row
    with database.session() as session:
        collected.guard(session, [key], since=began)
        values = {"network": pair.network_id, "generator": pair.generator_id, "name": name, "key": key}
        session.execute(_NOTE, values)


def forget(session: Session, name: str) -> None:
    """After its object was found to be missing or damaged: it is measured again."""
    session.execute(sa.delete(LookRow).where(LookRow.name == name))
