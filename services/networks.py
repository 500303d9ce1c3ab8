"""Networks: registered by anyone, inspected by a worker, then fixed for ever."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.access import Principal
from services.errors import Conflict, FieldError, Invalid, NotFound
from services.nearest import instead
from services.ownership import check_may_change, owner_of
from services.paging import Page, decode_cursor, encode_cursor, limit_of
from services.plain_text import storable
from services.schema import LayerRow, NetworkRow

_LITE = re.compile(r"efficientnet_lite\d\.imagenet")
_ARCHITECTURE_OF_FILE = re.compile(r"(torchvision|timm):[A-Za-z0-9_]+")
_INSPECTION_TRIES = 3
_NEVER_INSPECTED = (
    f"The inspection was begun {_INSPECTION_TRIES} times and never ended; the worker was probably "
    "killed, most likely because the network does not fit into memory. Register it again to try once more."
)


@dataclass(frozen=True)
class Network:
    """`state` is pending (not yet inspected), ready or failed; what weights tell is set once it is ready."""

    id: str
    source: str
    architecture: str
    weights: str | None
    classes: int | None
    state: str
    error: str | None
    weights_sha256: str | None
    preprocessing: Mapping[str, Any] | None
    labels: tuple[str, ...]
    created_at: datetime
    inspected_at: datetime | None


class RegisterNetwork(BaseModel):
    """What a network is registered with. Only `id` is needed unless the weights are a file of one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)+$",
            max_length=120,
            description="ARCHITECTURE.TAG: efficientnet_lite0.imagenet, resnet18.IMAGENET1K_V1 (torchvision),"
            " resnet18.a1_in1k (timm)",
        ),
    ]
    source: Annotated[
        Literal["efficientnet-lite", "torchvision", "timm", "file"] | None,
        Field(description="Where it comes from; by default told from the id"),
    ] = None
    architecture: Annotated[
        str | None,
        Field(max_length=120, description="For source file: torchvision:NAME or timm:NAME"),
    ] = None
    weights: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*\.safetensors$",
            max_length=120,
            description="For source file: the name of a file in the weights folder of the workers",
        ),
    ] = None
    classes: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="For source file: number of outputs, if not the usual"),
    ] = None


@dataclass(frozen=True)
class LayerRecord:
    """A layer as inspected; `spatial` is (H, W), `receptive_field` and `stride` are in input pixels."""

    name: str
    kind: str
    units: int
    spatial: tuple[int, int] | None
    receptive_field: int | None
    stride: int | None


def register_network(session: Session, request: RegisterNetwork, *, by: Principal | None = None) -> Network:
    """Add a network in state pending, for a worker to inspect; commits with the caller.

    Registering the same again changes nothing, except that a failed network is inspected anew. `by` is who
    registers it and then owns it, None the operator of the service. Raises `Invalid` when the fields do not
    fit together, `Conflict` when the id means another network, `Forbidden` for a failed one that is not
    theirs.
    """
    wanted = _filled_in(request)
    added = insert(NetworkRow).values(**wanted, owner_key_id=owner_of(by)).on_conflict_do_nothing()
    session.execute(added)
    row = session.get_one(NetworkRow, request.id, with_for_update=True, populate_existing=True)
    if row.state == "failed":
        check_may_change(row, by)
        for name, value in wanted.items():
            setattr(row, name, value)
        row.state, row.error, row.inspection_tries, row.inspection_until = "pending", None, 0, None
        session.flush()
    elif different := [name for name, value in wanted.items() if getattr(row, name) != value]:
        name = different[0]
        raise Conflict(
            f"The network {request.id!r} is registered with {name} {getattr(row, name)!r}; "
            f"got {wanted[name]!r}. Choose another id."
        )
    return _view(row)


def _filled_in(request: RegisterNetwork) -> dict[str, Any]:
    """The columns of a registration, with what can be told from the id filled in."""
    name, tag = request.id.split(".", 1)
    source = request.source
    if source is None:
        if request.weights is not None:
            source = "file"
        elif _LITE.fullmatch(request.id):
            source = "efficientnet-lite"
        else:
            # torchvision's weights are enumeration members, in capitals; timm's tags are in small letters.
            source = "torchvision" if tag[:1].isupper() else "timm"
    errors = []
    if source == "file":
        if request.weights is None:
            errors.append(
                FieldError("/weights", "is required for source file: the name of a .safetensors file")
            )
        if request.architecture is None or not _ARCHITECTURE_OF_FILE.fullmatch(request.architecture):
            got = f"; got {request.architecture!r}" if request.architecture else ""
            errors.append(
                FieldError("/architecture", f"must be torchvision:NAME or timm:NAME for source file{got}")
            )
    else:
        if request.architecture not in (None, name):
            errors.append(FieldError("/architecture", f"must be {name!r}, as in the id, or be left out"))
        for field in ("weights", "classes"):
            if getattr(request, field) is not None:
                errors.append(
                    FieldError(f"/{field}", f"is for source file only; this network is of {source}")
                )
    if errors:
        raise Invalid(errors)
    return {
        "id": request.id,
        "source": source,
        "architecture": request.architecture or name,
        "weights": request.weights,
        "classes": request.classes,
    }


def next_pending_network(session: Session, *, seconds: float = 600) -> Network | None:
    """Take a network to inspect, or None; commit before inspecting it.

    No other worker gets it for that long; then it is free again, unless it has been taken three times, which
    makes it failed.
    """
    row = session.scalars(
        sa.select(NetworkRow)
        .where(NetworkRow.state == "pending")
        .where(sa.or_(NetworkRow.inspection_until.is_(None), NetworkRow.inspection_until < sa.func.now()))
        .order_by(NetworkRow.created_at, NetworkRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        return None
    if row.inspection_tries >= _INSPECTION_TRIES:
        record_inspection_failure(session, row.id, _NEVER_INSPECTED)
        return None
    row.inspection_tries += 1
    until: datetime = session.execute(
        sa.select(sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds))
    ).scalar_one()
    row.inspection_until = until
    session.flush()
    return _view(row)


def record_inspection(
    session: Session,
    id: str,
    *,
    weights_sha256: str,
    preprocessing: Mapping[str, Any],
    labels: Sequence[str],
    layers: Sequence[LayerRecord],
) -> bool:
    """Make a pending network ready, with its layers in execution order; all or nothing.

    False, and nothing changes, if it is no longer pending: two workers may have inspected it.
    """
    row = session.get(NetworkRow, id, with_for_update=True, populate_existing=True)
    if row is None or row.state != "pending":
        return False
    session.execute(
        sa.insert(LayerRow),
        [
            {
                "network_id": id,
                "name": layer.name,
                "ordinal": ordinal,
                "kind": layer.kind,
                "units": layer.units,
                "height": layer.spatial[0] if layer.spatial else None,
                "width": layer.spatial[1] if layer.spatial else None,
                "receptive_field": layer.receptive_field,
                "stride": layer.stride,
            }
            for ordinal, layer in enumerate(layers)
        ],
    )
    row.state, row.weights_sha256, row.inspection_until = "ready", weights_sha256, None
    row.preprocessing, row.labels = dict(preprocessing), list(labels)
    row.inspected_at = session.execute(sa.select(sa.func.now())).scalar_one()
    session.flush()
    return True


def record_inspection_failure(session: Session, id: str, message: str) -> bool:
    """Make a pending network failed, for the reason given. False if it is no longer pending."""
    changed = session.execute(
        sa.update(NetworkRow)
        .where(NetworkRow.id == id, NetworkRow.state == "pending")
        .values(state="failed", error=storable(message), inspection_until=None, inspected_at=sa.func.now())
        .returning(NetworkRow.id)
    )
    return changed.first() is not None


def list_networks(session: Session, *, cursor: str | None = None, limit: int = 50) -> Page[Network]:
    """Networks by id. Raises `Invalid` for a wrong cursor or limit."""
    query = sa.select(NetworkRow).order_by(NetworkRow.id).limit(limit_of(limit) + 1)
    if cursor is not None:
        query = query.where(NetworkRow.id > decode_cursor("networks", cursor, (str,))[0])
    rows = session.scalars(query).all()
    following = encode_cursor("networks", [rows[limit - 1].id]) if len(rows) > limit else None
    return Page(tuple(_view(row) for row in rows[:limit]), following)


def get_network(session: Session, id: str) -> Network:
    """Raises `NotFound`, which names networks that look alike."""
    row = session.get(NetworkRow, id, populate_existing=True)
    if row is None:
        raise NotFound("network", id, instead(session, sa.select(NetworkRow.id), id, "There are"))
    return _view(row)


def _view(row: NetworkRow) -> Network:
    return Network(
        row.id,
        row.source,
        row.architecture,
        row.weights,
        row.classes,
        row.state,
        row.error,
        row.weights_sha256,
        row.preprocessing,
        tuple(row.labels),
        row.created_at,
        row.inspected_at,
    )
