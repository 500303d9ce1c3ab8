"""A few pictures that stand for an atlas on its card and its page."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.atlases.progress import AtlasView
from services.grids import strips
from services.grids.overviews import shown_versions
from services.grids.strips import Glimpse, OfVersion


def strips_of_atlases(
    session: Session, atlases: Sequence[AtlasView], most: int
) -> Sequence[Sequence[Glimpse]]:
    """Pictures of each atlas, in the newest version that was published, else the open one."""
    versions = shown_versions(session, [atlas.id for atlas in atlases])
    shown = [versions[atlas.id] for atlas in atlases]
    return strips.posters(session, [OfVersion(one.atlas_no, one.number, one.layers) for one in shown], most)
