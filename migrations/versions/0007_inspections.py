"""Networks are inspected again where a later release looks closer, and pictures say what their network was.

Every network that is ready is due: the inspection before took wrong layers for the output of some, and knew
nothing of the sizes that a network runs at. Pictures that there are keep the hash in their digests.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    json = postgresql.JSONB(none_as_null=True)
    op.add_column("networks", sa.Column("stated", json, server_default="{}", nullable=False))
    op.add_column("networks", sa.Column("spec_sha256", sa.Text(), nullable=True))
    op.add_column("networks", sa.Column("input_sizes", json, nullable=True))
    op.add_column("networks", sa.Column("outputs", sa.Integer(), nullable=True))
    op.add_column(
        "networks", sa.Column("inspection_version", sa.SmallInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "networks", sa.Column("inspection_due", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "layers", sa.Column("is_current", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.add_column("visualizations", sa.Column("network_sha256", sa.Text(), nullable=True))
    op.execute(
        "UPDATE visualizations v SET network_sha256 = n.weights_sha256 FROM networks n"
        " WHERE n.id = v.network_id"
    )
    op.alter_column("visualizations", "network_sha256", nullable=False)
    op.execute(
        "UPDATE networks SET spec_sha256 = weights_sha256, inspection_due = (state = 'ready'),"
        " inspection_tries = CASE state WHEN 'ready' THEN 0 ELSE inspection_tries END"
    )
    # Weights of one's own no longer get the input transform of the published ones: other pictures, and so
    # other names.
    op.execute(
        "UPDATE networks SET spec_sha256 ="
        " encode(sha256(convert_to('without input transform ' || weights_sha256, 'UTF8')), 'hex')"
        " WHERE source = 'file' AND weights_sha256 IS NOT NULL"
        " AND architecture IN ('torchvision:googlenet', 'torchvision:inception_v3')"
    )
    # The tag of published weights was cut off, without which timm cannot find them.
    op.execute("UPDATE networks SET weights = substr(id, strpos(id, '.') + 1) WHERE source <> 'file'")
    op.create_check_constraint(
        op.f("ck_networks_ready_has_spec_sha256"), "networks", "state <> 'ready' OR spec_sha256 IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_networks_ready_has_spec_sha256"), "networks", type_="check")
    op.execute("UPDATE networks SET weights = NULL WHERE source <> 'file'")
    op.drop_column("visualizations", "network_sha256")
    op.drop_column("layers", "is_current")
    for name in ("inspection_due", "inspection_version", "outputs", "input_sizes", "spec_sha256", "stated"):
        op.drop_column("networks", name)
