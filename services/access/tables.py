"""The tables of API keys and of the browser sessions that stand for them."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.base.tables import CREATED, Base, Id


class ApiKeyRow(Base):
    """A key; of its secret only the hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    secret_sha256: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(sa.Text))
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class BrowserSessionRow(Base):
    """Access that a browser keeps in a cookie, as good as the key that it stands for. Of the cookie's value
    only the hash is kept. `expires_at` moves on with use (`services.access.browser_sessions`)."""

    __tablename__ = "browser_sessions"
    __table_args__ = (sa.Index(None, "key_id", "created_at"), sa.Index(None, "expires_at"))

    token_sha256: Mapped[str] = mapped_column(Id, primary_key=True)
    key_id: Mapped[str] = mapped_column(Id, sa.ForeignKey(ApiKeyRow.id, ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    last_used_at: Mapped[datetime] = mapped_column(server_default=CREATED)
    expires_at: Mapped[datetime]
