"""Networks: registered by anyone, inspected by a worker, then fixed for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from imago_engine.networks import InputSizes
from services.access.keys import Principal
from services.access.ownership import check_may_change, owner_of
from services.base.errors import Conflict, NotFound
from services.base.paging import Page, page_of
from services.base.suggestions import did_you_mean
from services.catalog.insertion import inserted_or_there
from services.catalog.network_request import RegisterNetwork, columns_of, in_words
from services.catalog.tables import NetworkRow


@dataclass(frozen=True)
class Network:
    """`state` is pending (not yet inspected), ready or failed; what weights tell is set once it is ready.

    `weights` is the name of a file, or the tag of published weights. `stated` holds what was stated when it
    was registered: any of labels, mean, std, size and bgr. `spec_sha256` is what specs name it by.
    `input_sizes` is `{"step", "least", "most"}` in pixels: the inputs that it takes besides its own, see
    `runs_at`; None where nobody has tried. `outputs` counts the units of its output layer, None without one.
    `inspection_due`: it was ready, and a later release has yet to look at it again.
    """

    id: str
    source: str
    architecture: str
    weights: str | None
    classes: int | None
    stated: Mapping[str, Any]
    state: str
    error: str | None
    weights_sha256: str | None
    spec_sha256: str | None
    preprocessing: Mapping[str, Any] | None
    input_sizes: Mapping[str, Any] | None
    outputs: int | None
    labels: tuple[str, ...]
    inspection_due: bool
    created_at: datetime
    inspected_at: datetime | None

    @property
    def is_current(self) -> bool:
        """Whether it is ready, and not due for another inspection: what is planned of it stays true."""
        return self.state == "ready" and not self.inspection_due

    @property
    def own_size(self) -> int | None:
        """Side of its own input in pixels."""
        return None if self.preprocessing is None else self.preprocessing["size"]

    @property
    def as_stated(self) -> dict[str, Any]:
        """What was stated when it was registered, with the number of classes of a file, in the words of the
        request."""
        return in_words(self.classes, self.stated)

    @property
    def _sizes(self) -> InputSizes | None:
        """The inputs that it takes; None where nobody has tried."""
        if self.input_sizes is None or self.own_size is None:
            return None
        return InputSizes(self.own_size, **self.input_sizes)

    def runs_at(self, size: int) -> bool:
        """Whether it takes pictures of `size` pixels, as far as is known."""
        sizes = self._sizes
        return sizes is None or size in sizes

    def suited(self, recommended: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a generator recommends, at the network's own size where it cannot run at the recommended
        one."""
        size = recommended.get("input_size")
        return recommended if size is None or self.runs_at(size) else {**recommended, "input_size": None}

    def size_from(self, size: int) -> int | None:
        """The smallest input of `size` pixels or more that it takes, its own where it takes no other; None
        where nobody has tried.
        """
        sizes = self._sizes
        return None if sizes is None else sizes.at_least(size)

    def sizes_accepted(self) -> str:
        """The same in words, to follow "it takes"."""
        sizes = self.input_sizes
        if sizes is None or sizes["step"] is None:
            return f"{self.own_size} pixels only"
        most = "more" if sizes["most"] is None else str(sizes["most"])
        steps = "" if sizes["step"] == 1 else f" in steps of {sizes['step']}"
        return f"{sizes['least']} to {most} pixels{steps} (its own are {self.own_size})"


def register_network(session: Session, request: RegisterNetwork, *, by: Principal | None = None) -> Network:
    """Add a network in state pending, for a worker to inspect; commits with the caller.

    Registering the same again changes nothing, except that a failed network is inspected anew. `by` is who
    registers it and then owns it, None the operator of the service. Raises `Invalid` when the fields do not
    fit together, `Conflict` when the id means another network, `Forbidden` for a failed one that is not
    theirs.
    """
    wanted = columns_of(request)
    added = insert(NetworkRow).values(**wanted, owner_key_id=owner_of(by)).on_conflict_do_nothing()
    locking = sa.select(NetworkRow).where(NetworkRow.id == request.id).with_for_update()
    (row,) = inserted_or_there(session, added, locking, f"The network {request.id!r}")
    if row.state == "failed":
        check_may_change(row, by)
        if any(getattr(row, name) != value for name, value in wanted.items()):
            row.spec_sha256 = None  # another network than the one that may have had pictures before
        for name, value in wanted.items():
            setattr(row, name, value)
        row.state, row.error, row.inspection_tries = "pending", None, 0
        session.flush()
    elif different := [name for name, value in wanted.items() if getattr(row, name) != value]:
        name = different[0]
        if name == "stated":
            raise Conflict(
                f"The network {request.id!r} is registered with other labels, mean, std, size or channels "
                "than these. Choose another id."
            )
        raise Conflict(
            f"The network {request.id!r} is registered with {name} {getattr(row, name)!r}; "
            f"got {wanted[name]!r}. Choose another id."
        )
    return view_of(row)


def list_networks(
    session: Session, *, ready: bool | None = None, cursor: str | None = None, limit: int = 50
) -> Page[Network]:
    """Networks by id: those that are `ready`, those that are not, or all. Raises `Invalid` for a wrong cursor
    or limit."""
    query = sa.select(NetworkRow)
    if ready is not None:
        query = query.where(NetworkRow.state == "ready" if ready else NetworkRow.state != "ready")
    rows = page_of(session, query, NetworkRow.id, name="networks", cursor=cursor, limit=limit)
    return rows.map(view_of)


def count_not_ready(session: Session) -> int:
    """How many networks cannot be explained, not yet or not at all."""
    counted = sa.select(sa.func.count()).select_from(NetworkRow).where(NetworkRow.state != "ready")
    return session.execute(counted).scalar_one()


def ready_ids(session: Session, *, of: str | None = None, limit: int = 100) -> Sequence[str]:
    """The ids of networks that are ready, without anything else; only that one where `of` is given."""
    query = sa.select(NetworkRow.id).where(NetworkRow.state == "ready").order_by(NetworkRow.id).limit(limit)
    return session.scalars(query if of is None else query.where(NetworkRow.id == of)).all()


def get_network(session: Session, id: str) -> Network:
    """Raises `NotFound`, which names networks that look alike and have not failed."""
    row = session.get(NetworkRow, id, populate_existing=True)
    if row is None:
        raise NotFound("network", id, _instead(session, id))
    return view_of(row)


def _instead(session: Session, wrong: str) -> str:
    """The networks most like the wrong name. Those that failed are named only where all of them did."""
    names = sa.select(NetworkRow.id)
    return did_you_mean(
        session, names.where(NetworkRow.state != "failed"), wrong, "There are"
    ) or did_you_mean(session, names, wrong, "All networks that are registered failed their inspection")


def view_of(row: NetworkRow) -> Network:
    """The row as callers see it."""
    return Network(
        id=row.id,
        source=row.source,
        architecture=row.architecture,
        weights=row.weights,
        classes=row.classes,
        stated=row.stated,
        state=row.state,
        error=row.error,
        weights_sha256=row.weights_sha256,
        spec_sha256=row.spec_sha256,
        preprocessing=row.preprocessing,
        input_sizes=row.input_sizes,
        outputs=row.outputs,
        labels=tuple(row.labels),
        inspection_due=row.inspection_due,
        created_at=row.created_at,
        inspected_at=row.inspected_at,
    )
