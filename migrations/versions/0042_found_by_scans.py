"""What a scan has found goes little by little after it: no foreign key removes millions of rows at once."""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

_FOUND = ("unit_statistics", "crop_packs", "exemplars")


def upgrade() -> None:
    for table in _FOUND:
        op.drop_constraint(f"fk_{table}_scan_no", table, type_="foreignkey")


def downgrade() -> None:
    for table in _FOUND:
        op.execute(f"DELETE FROM {table} f WHERE NOT EXISTS (SELECT FROM scans WHERE no = f.scan_no)")
        op.create_foreign_key(f"fk_{table}_scan_no", table, "scans", ["scan_no"], ["no"], ondelete="CASCADE")
