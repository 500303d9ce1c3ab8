"""Inspections, repairs and rounds over the store are held by leases, as batches of pictures are.

What workers have in hand stays theirs until it expires. Their old numbers, which counted claims of their own,
are jumped over, so that no lease has the number of an earlier claim.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_HELD = "inspection_until IS NOT NULL AND (state = 'pending' OR inspection_due)"


def upgrade() -> None:
    op.execute(
        "SELECT setval(pg_get_serial_sequence('leases', 'id'), greatest("
        " (SELECT last_value FROM leases_id_seq), (SELECT max(fence) FROM work)))"
    )
    op.add_column("work", sa.Column("lease_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_work_lease_id"), "work", "leases", ["lease_id"], ["id"])
    # One lease a claim: the rows of one claim have one fence.
    op.execute("""
        WITH held AS (
            SELECT nextval(pg_get_serial_sequence('leases', 'id')) AS lease, * FROM (
                SELECT kind, fence, worker_id, count(*) AS items, max(expires_at) AS expires_at
                FROM work WHERE worker_id IS NOT NULL GROUP BY kind, fence, worker_id
            ) AS claims
        ), opened AS (
            INSERT INTO leases (id, kind, worker_id, items, expires_at)
            OVERRIDING SYSTEM VALUE SELECT lease, kind, worker_id, items, expires_at FROM held
        )
        UPDATE work SET lease_id = held.lease FROM held
        WHERE work.worker_id IS NOT NULL AND work.kind = held.kind AND work.fence = held.fence
    """)
    for name in ("ix_work_due", "ix_work_held", "ix_work_fence"):
        op.drop_index(name, "work")
    op.drop_constraint(op.f("ck_work_held"), "work", type_="check")
    for name in ("fence", "worker_id", "expires_at"):
        op.drop_column("work", name)
    op.create_index(
        "ix_work_due", "work", ["kind", "not_before"], postgresql_where=sa.text("lease_id IS NULL")
    )
    op.create_index("ix_work_lease", "work", ["lease_id"], postgresql_where=sa.text("lease_id IS NOT NULL"))
    op.execute(sa.schema.DropSequence(sa.Sequence("work_fences")))

    op.add_column("networks", sa.Column("lease_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_networks_lease_id"), "networks", "leases", ["lease_id"], ["id"])
    op.execute(f"""
        WITH held AS (
            SELECT nextval(pg_get_serial_sequence('leases', 'id')) AS lease, id, inspection_until
            FROM networks WHERE {_HELD}
        ), opened AS (
            INSERT INTO leases (id, kind, worker_id, items, expires_at)
            OVERRIDING SYSTEM VALUE SELECT lease, 'inspection', 'unknown', 1, inspection_until FROM held
        )
        UPDATE networks SET lease_id = held.lease, inspection_tries = greatest(inspection_tries - 1, 0)
        FROM held WHERE networks.id = held.id
    """)
    op.drop_column("networks", "inspection_until")
    op.create_check_constraint(
        op.f("ck_networks_held"), "networks", "lease_id IS NULL OR state = 'pending' OR inspection_due"
    )
    op.create_index(
        "ix_networks_lease", "networks", ["lease_id"], postgresql_where=sa.text("lease_id IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_networks_lease", "networks")
    op.drop_constraint(op.f("ck_networks_held"), "networks", type_="check")
    op.add_column("networks", sa.Column("inspection_until", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE networks SET inspection_until = expires_at, inspection_tries = inspection_tries + 1"
        " FROM leases WHERE leases.id = networks.lease_id"
    )
    op.drop_column("networks", "lease_id")

    op.execute(sa.schema.CreateSequence(sa.Sequence("work_fences")))
    op.execute("SELECT setval('work_fences', (SELECT last_value FROM leases_id_seq))")
    op.drop_index("ix_work_due", "work")
    op.drop_index("ix_work_lease", "work")
    op.add_column("work", sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("work", sa.Column("worker_id", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE work SET fence = leases.id, worker_id = leases.worker_id, expires_at = leases.expires_at"
        " FROM leases WHERE leases.id = work.lease_id"
    )
    op.drop_column("work", "lease_id")
    op.create_check_constraint(op.f("ck_work_held"), "work", "(worker_id IS NULL) = (expires_at IS NULL)")
    op.create_index(
        "ix_work_due", "work", ["kind", "not_before"], postgresql_where=sa.text("worker_id IS NULL")
    )
    op.create_index("ix_work_held", "work", ["expires_at"], postgresql_where=sa.text("worker_id IS NOT NULL"))
    op.create_index("ix_work_fence", "work", ["fence"], postgresql_where=sa.text("worker_id IS NOT NULL"))
    # The release before knows leases of batches only.
    op.execute("DELETE FROM leases WHERE kind IN ('repair', 'scrub', 'collect', 'inspection')")
