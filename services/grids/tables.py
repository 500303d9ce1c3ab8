"""The table of orders that are kept."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from services.atlases.tables import AtlasRow
from services.base.tables import CREATED, Base, Id


class GridOrderRow(Base):
    """In which order the units of a large layer come in a version of an atlas: `units` as unsigned integers
    of 32 bits, the least significant byte first, of which a part can be read without the rest. `basis` is a
    hash of what it follows from beside pictures, `progress` what had ended of these: of a published version
    nothing more does."""

    __tablename__ = "grid_orders"

    atlas_no: Mapped[int] = mapped_column(sa.ForeignKey(AtlasRow.no, ondelete="CASCADE"), primary_key=True)
    layer_no: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    facet: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    ordered_by: Mapped[str] = mapped_column(Id, primary_key=True)
    basis: Mapped[str] = mapped_column(Id)
    progress: Mapped[str] = mapped_column(Id)
    units: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(server_default=CREATED)
