"""Trainings are held by leases, as all other work is; their ids are the fences in the keys of what is stored.

No lease gets a number that a training has had as its fence, so that no two claims of a training share a key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "SELECT setval(pg_get_serial_sequence('leases', 'id'), greatest("
        " (SELECT last_value FROM leases_id_seq), (SELECT max(fence) FROM trainings)))"
    )
    op.add_column("trainings", sa.Column("lease_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_trainings_lease_id"), "trainings", "leases", ["lease_id"], ["id"])
    op.execute("""
        WITH held AS (
            SELECT nextval(pg_get_serial_sequence('leases', 'id')) AS lease, id, worker_id, expires_at
            FROM trainings WHERE worker_id IS NOT NULL
        ), opened AS (
            INSERT INTO leases (id, kind, worker_id, items, expires_at)
            OVERRIDING SYSTEM VALUE SELECT lease, 'training', worker_id, 1, expires_at FROM held
        )
        UPDATE trainings SET lease_id = held.lease FROM held WHERE trainings.id = held.id
    """)
    op.drop_constraint(op.f("ck_trainings_held"), "trainings", type_="check")
    for name in ("fence", "worker_id", "expires_at"):
        op.drop_column("trainings", name)
    op.create_check_constraint(
        op.f("ck_trainings_held"),
        "trainings",
        "(state IN ('running', 'canceling')) = (lease_id IS NOT NULL)",
    )
    op.create_index(
        "ix_trainings_lease", "trainings", ["lease_id"], postgresql_where=sa.text("lease_id IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_trainings_lease", "trainings")
    op.drop_constraint(op.f("ck_trainings_held"), "trainings", type_="check")
    op.add_column("trainings", sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("trainings", sa.Column("worker_id", sa.Text(), nullable=True))
    op.add_column("trainings", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    # The next claim of each gets a number that no lease of it had.
    op.execute("UPDATE trainings SET fence = (SELECT last_value FROM leases_id_seq)")
    op.execute(
        "UPDATE trainings SET fence = leases.id, worker_id = leases.worker_id, expires_at = leases.expires_at"
        " FROM leases WHERE leases.id = trainings.lease_id"
    )
    op.drop_column("trainings", "lease_id")
    op.create_check_constraint(
        op.f("ck_trainings_held"),
        "trainings",
        "(state IN ('running', 'canceling')) = (worker_id IS NOT NULL)"
        " AND (worker_id IS NULL) = (expires_at IS NULL)",
    )
    op.execute("DELETE FROM leases WHERE kind = 'training'")
