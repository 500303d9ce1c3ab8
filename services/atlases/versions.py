"""The open version of an atlas, and what it asks for."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.atlases.tables import AtlasVersionRow


def open_version(session: Session, atlas_no: int) -> AtlasVersionRow:
    """The version that is being built."""
    query = sa.select(AtlasVersionRow).where(
        AtlasVersionRow.atlas_no == atlas_no, AtlasVersionRow.published_at.is_(None)
    )
    return session.scalars(query.execution_options(populate_existing=True)).one()


def candidates_of(request: Mapping[str, Any]) -> int:
    """How many pictures are made for each facet, by the request that a version keeps; imported atlases and
    those of earlier releases tell none."""
    return int(request.get("candidates", 1))
