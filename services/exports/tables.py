"""The table of imports that go on."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.atlases.tables import AtlasRow
from services.base.tables import CREATED, Base, Json


class AtlasImportRow(Base):
    """An atlas that is being imported and that nobody sees yet: of the entries of its manifest, the first
    `received` are there. The row goes when the atlas is whole."""

    __tablename__ = "atlas_imports"
    __table_args__ = (sa.CheckConstraint("received >= 0", name="received"),)

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    manifest: Mapped[Json]
    received: Mapped[int] = mapped_column(server_default="0")
    touched_at: Mapped[datetime] = mapped_column(server_default=CREATED)
