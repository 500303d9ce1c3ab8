"""The tables of networks, their layers, and generators."""

from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from imago_engine.networks import Role
from services.access.tables import ApiKeyRow
from services.base.tables import CREATED, Base, Id, Json, one_of
from services.queue.tables import LeaseRow


class NetworkRow(Base):
    """A network that can be explained. Once `ready` it changes only when it is inspected again, and digests
    are made from `spec_sha256`, which then changes with it. `lease_id` is that of its inspection."""

    __tablename__ = "networks"
    __table_args__ = (
        one_of("source", ("efficientnet-lite", "torchvision", "timm", "file")),
        one_of("state", ("pending", "ready", "failed")),
        sa.CheckConstraint("state <> 'ready' OR weights_sha256 IS NOT NULL", name="ready_has_weights"),
        sa.CheckConstraint("state <> 'ready' OR spec_sha256 IS NOT NULL", name="ready_has_spec_sha256"),
        sa.CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
        sa.CheckConstraint("lease_id IS NULL OR state = 'pending' OR inspection_due", name="held"),
        sa.Index("ix_networks_lease", "lease_id", postgresql_where=sa.text("lease_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    source: Mapped[str]
    architecture: Mapped[str]
    weights: Mapped[str | None]
    classes: Mapped[int | None]
    stated: Mapped[Json] = mapped_column(server_default="{}")
    state: Mapped[str] = mapped_column(server_default="pending")
    error: Mapped[str | None]
    weights_sha256: Mapped[str | None]
    spec_sha256: Mapped[str | None]
    preprocessing: Mapped[Json | None]
    input_sizes: Mapped[Json | None]
    outputs: Mapped[int | None]
    labels: Mapped[list[Any]] = mapped_column(server_default="[]")
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id))
    inspection_tries: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    lease_id: Mapped[int | None] = mapped_column(sa.BigInteger, sa.ForeignKey(LeaseRow.id))
    inspection_version: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    inspection_due: Mapped[bool] = mapped_column(server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    inspected_at: Mapped[datetime | None]


class LayerRow(Base):
    """`is_current` is false for what a later inspection did not find any more."""

    __tablename__ = "layers"
    __table_args__ = (
        sa.CheckConstraint("units > 0", name="units"),
        sa.CheckConstraint("(height IS NULL) = (width IS NULL)", name="spatial"),
        sa.CheckConstraint(
            "(tokens IS NULL) = (usual_token IS NULL) AND (tokens IS NULL OR height IS NULL)"
            " AND (class_token IS NULL OR class_token = usual_token)",
            name="tokens",
        ),
        one_of("role", get_args(Role)),
        sa.CheckConstraint("role IS NULL OR twin_of IS NULL", name="twin"),
    )

    network_id: Mapped[str] = mapped_column(
        Id, sa.ForeignKey(NetworkRow.id, ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Id, primary_key=True)
    ordinal: Mapped[int]
    kind: Mapped[str]
    units: Mapped[int]
    height: Mapped[int | None]
    width: Mapped[int | None]
    receptive_field: Mapped[int | None]
    stride: Mapped[int | None]
    tokens: Mapped[int | None]
    usual_token: Mapped[int | None]
    class_token: Mapped[int | None]
    role: Mapped[str | None]
    twin_of: Mapped[str | None]
    is_current: Mapped[bool] = mapped_column(server_default=sa.true())


class GeneratorRow(Base):
    """Its file lies in the store, under `object_keys.generator_key` of its hash; or not, where `is_here` is
    false and it is known by pictures alone that were imported."""

    __tablename__ = "generators"
    __table_args__ = (
        sa.UniqueConstraint("weights_sha256"),
        sa.Index("uq_generators_default", "is_default", unique=True, postgresql_where=sa.text("is_default")),
        sa.CheckConstraint("is_here OR NOT is_default", name="default_is_here"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    weights_sha256: Mapped[str]
    architecture: Mapped[str]
    code_shape: Mapped[list[Any]]
    image_size: Mapped[int]
    encoder: Mapped[str]
    info: Mapped[Json]
    is_default: Mapped[bool] = mapped_column(server_default=sa.false())
    is_here: Mapped[bool] = mapped_column(server_default=sa.true())
    owner_key_id: Mapped[str | None] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id))
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)


class LookRow(Base):
    """What was measured of a network with a generator, for all of its units at once, and costs more than to
    fetch it. `name` is the SHA-256 of all that determines it, `object` its key in the store. It may go at any
    time: whoever misses it measures again.

    While it is measured there is no object: `seen` of the pictures of so many `codes` were looked at by
    `seen_at`.
    """

    __tablename__ = "looks"
    __table_args__ = (
        # Whether anything points to an object, and what goes with a network or a generator.
        sa.Index("ix_looks_object", "object", postgresql_using="hash"),
        sa.Index("ix_looks_network", "network_id"),
        sa.Index("ix_looks_generator", "generator_id"),
        sa.CheckConstraint(
            "object IS NOT NULL OR (seen IS NOT NULL AND codes IS NOT NULL AND seen_at IS NOT NULL)",
            name="under_way",
        ),
    )

    name: Mapped[str] = mapped_column(Id, primary_key=True)
    network_id: Mapped[str] = mapped_column(Id, sa.ForeignKey(NetworkRow.id, ondelete="CASCADE"))
    generator_id: Mapped[str] = mapped_column(Id, sa.ForeignKey(GeneratorRow.id, ondelete="CASCADE"))
    object: Mapped[str | None]
    seen: Mapped[int | None]
    codes: Mapped[int | None]
    seen_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
