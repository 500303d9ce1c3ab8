"""Permission to change what exists: its owner or an admin, one rule for every write.

A job, atlas, training, scan, network or generator may be changed by the key that submitted or registered it,
and by keys with the scope `admin`. What no key owns (rows that are older than their owners, and what the
operator registered, such as the shipped generator) may be changed by an admin only. Whoever may read it
learns of a refusal: the answer is "forbidden", not "there is no such thing", because ids are no secret. A
private atlas alone is not there for others (`services.atlases.visibility`).
"""

from services.access.keys import Principal
from services.atlases.tables import AtlasRow
from services.base.errors import Forbidden
from services.catalog.tables import GeneratorRow, NetworkRow
from services.exemplars.tables import ScanRow
from services.jobs.tables import JobRow
from services.trainings.tables import TrainingRow

Owned = JobRow | AtlasRow | TrainingRow | ScanRow | NetworkRow | GeneratorRow

_KINDS: dict[type[Owned], str] = {
    JobRow: "job",
    AtlasRow: "atlas",
    TrainingRow: "training",
    ScanRow: "scan",
    NetworkRow: "network",
    GeneratorRow: "generator",
}


def may_change(owner_key_id: str | None, by: Principal | None) -> bool:
    """Whether `by` may change what the key `owner_key_id` owns. None as `by` is the operator of the service,
    who may change everything.
    """
    if by is None or "admin" in by.scopes:
        return True
    return owner_key_id is not None and owner_key_id == by.key_id


def check_may_change(row: Owned, by: Principal | None) -> None:
    """Raises `Forbidden` unless `by` may change this row. Call it before anything is written."""
    if may_change(row.owner_key_id, by):
        return
    whose = "belongs to no key" if row.owner_key_id is None else "belongs to another key"
    remedy = "a key with the scope 'admin' may change it"
    if row.owner_key_id is not None:
        remedy = f"that one or {remedy}"
    raise Forbidden(f"The {_KINDS[type(row)]} {row.id} {whose}; {remedy}.")


def owner_of(by: Principal | None) -> str | None:
    """What to write down as the owner of something that `by` submits or registers."""
    return None if by is None else by.key_id
