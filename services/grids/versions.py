"""Which versions of atlases there are of a network, for whoever chooses one to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.access.keys import Principal
from services.atlases.tables import AtlasRow, AtlasVersionRow
from services.atlases.visibility import seen_by
from services.base.states import Visibility

MOST = 60


@dataclass(frozen=True)
class AtlasVersion:
    """A version of an atlas; the one that is being built has no `published_at`."""

    atlas: str
    name: str
    number: int
    visibility: Visibility
    published_at: datetime | None


def versions_of(session: Session, network: str, *, by: Principal | None) -> Sequence[AtlasVersion]:
    """Those of the atlases that `by` sees, the newest first, `MOST` at most."""
    atlas, version = AtlasRow, AtlasVersionRow
    query = (
        sa.select(atlas.id, atlas.name, version.number, atlas.visibility, version.published_at)
        .join(version, version.atlas_no == atlas.no)
        .where(atlas.network_id == network, seen_by(by))
        .order_by(atlas.id.desc(), version.number.desc())
        .limit(MOST)
    )
    return [
        AtlasVersion(id, name, number, Visibility(visibility), published_at)
        for id, name, number, visibility, published_at in session.execute(query)
    ]
