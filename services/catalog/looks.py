"""Looks at networks: what is measured of a network with a generator, once, before its first picture by a
recipe that begins in a unit's direction.

It lies in the store, by all that determines it. A network is looked at by the default generator's recipe as
soon as it is ready, so that nobody has to wait for that; whoever needs another look, or comes before it is
done, has it made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.canonical import sha256_of
from imago_engine.techniques import technique_named
from imago_engine.techniques.automatic import WITH_GENERATOR
from imago_engine.techniques.dgn_am import needs_directions
from services.base.database import Database
from services.base.errors import Invalid
from services.base.object_keys import look_key
from services.base.storage import ObjectStore
from services.catalog.tables import GeneratorRow, LookRow, NetworkRow
from services.pictures import recipes
from services.queue import chores
from services.queue.chores import ChoreName
from services.upkeep import collected

LOOK: ChoreName = "look"
_STALE = "interval '5 minutes'"
"""Whoever looks tells how far it is after some dozen pictures; one that has not for so long was killed."""
_NOTE = text("""
    INSERT INTO looks (name, network_id, generator_id, object)
    SELECT :name, n.id, g.id, :key FROM networks n CROSS JOIN generators g
    WHERE n.id = :network AND g.id = :generator FOR KEY SHARE
    ON CONFLICT (name) DO UPDATE SET object = excluded.object WHERE looks.object IS NULL
""")
_TELL = text("""
    INSERT INTO looks (name, network_id, generator_id, seen, codes, seen_at)
    SELECT :name, n.id, g.id, :seen, :codes, clock_timestamp() FROM networks n CROSS JOIN generators g
    WHERE n.id = :network AND g.id = :generator FOR KEY SHARE
    ON CONFLICT (name) DO UPDATE SET seen = excluded.seen, codes = excluded.codes, seen_at = excluded.seen_at
    WHERE looks.object IS NULL
""")
_FORGET_KILLED = text("""
    DELETE FROM looks WHERE network_id = :network AND object IS NULL
    AND seen_at < clock_timestamp() - interval '1 day'
""")
_UNDER_WAY = text(f"""
    SELECT network_id, generator_id, seen, codes FROM looks
    WHERE object IS NULL AND seen_at > clock_timestamp() - {_STALE} ORDER BY seen_at
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


@dataclass(frozen=True)
class UnderWay:
    """A look that a worker is at: it has seen the pictures of `seen` of `codes` codes."""

    seen: int
    codes: int


@dataclass(frozen=True)
class Asked:
    """Which network is to be looked at with which generator."""

    network_id: str
    generator_id: str

    @classmethod
    def of(cls, subject: str) -> "Asked":
        """From the subject of a chore."""
        return cls(*subject.split(" "))

    def __str__(self) -> str:
        return f"{self.network_id} {self.generator_id}"  # neither has a space


def plan(session: Session, *network_ids: str) -> None:
    """Have networks that are ready looked at with the default generator, if its recipe wants that; now, and
    with all attempts, whatever became of an earlier plan."""
    generator = _default_that_looks(session)
    if generator is not None:
        for network_id in network_ids:
            chores.hasten(session, LOOK, str(Asked(network_id, generator)))


def plan_all(session: Session) -> None:
    """The same of all networks: another generator is the default from now on."""
    ready = sa.select(NetworkRow.id).where(NetworkRow.state == "ready").order_by(NetworkRow.id)
    plan(session, *session.scalars(ready))


def current(session: Session, asked: Asked) -> str | None:
    """What specs name the network by that is to be looked at. None where it need not be looked at any more,
    or not yet: once it was inspected it is planned again."""
    if _default_that_looks(session) != asked.generator_id:
        return None
    row = session.get(NetworkRow, asked.network_id, populate_existing=True)
    return None if row is None or row.state != "ready" or row.inspection_due else row.spec_sha256


def _default_that_looks(session: Session) -> str | None:
    """The name of the default generator if its own recipe begins in the unit's direction."""
    query = sa.select(GeneratorRow.id, GeneratorRow.info).where(GeneratorRow.is_default)
    default = session.execute(query).first()
    if default is None:
        return None
    try:
        recipe = recipes.resolve(WITH_GENERATOR, default.info.get("recommended") or {}, {})
    except Invalid:  # what only a later release knows, which has registered it
        return None
    looks = needs_directions(technique_named(recipe.technique).parameters(recipe.parameters))
    return str(default.id) if looks else None


def under_way(session: Session) -> dict[Asked, UnderWay]:
    """How far looks are that somebody is at right now; of several at one network the latest."""
    rows = session.execute(_UNDER_WAY)
    return {Asked(row.network_id, row.generator_id): UnderWay(row.seen, row.codes) for row in rows}


def under_way_of(session: Session, network_id: str) -> UnderWay | None:
    """How far a look at this network is, with whichever generator; None where nobody looks."""
    found = [look for asked, look in under_way(session).items() if asked.network_id == network_id]
    return found[-1] if found else None


def tell(database: Database, pair: Pair, name: str, under_way: UnderWay) -> None:
    """Let people see how far a look is. Raises `Unavailable`."""
    with database.session() as session:
        session.execute(_TELL, {**_row(pair, name), "seen": under_way.seen, "codes": under_way.codes})


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
        session.execute(_NOTE, {**_row(pair, name), "key": key})
        session.execute(_FORGET_KILLED, {"network": pair.network_id})


def _row(pair: Pair, name: str) -> dict[str, str]:
    """What each statement that writes a look is given."""
    return {"network": pair.network_id, "generator": pair.generator_id, "name": name}


def forget(session: Session, name: str) -> None:
    """After its object was found to be missing or damaged: it is measured again."""
    session.execute(sa.delete(LookRow).where(LookRow.name == name))
