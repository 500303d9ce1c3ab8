"""Every entry of a version of an atlas: what exports are made of."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field

from api.schemas.base import Page, Representation
from api.schemas.visualizations import Visualization
from imago_engine.specs import Recipe
from services.exports.version_entries import Entry


class AtlasEntry(Representation):
    """A picture of an atlas with all that is known of it."""

    id: str = Field(description="Digest of the visualization.")
    object: Literal["atlas_entry"] = "atlas_entry"
    facet: int = Field(description="Its number among the pictures of its unit, which is its seed.")
    recipe_digest: str = Field(description="Of the technique with all of its parameters.")
    visualization: Visualization

    @classmethod
    def of(cls, entry: Entry, class_labels: Sequence[str]) -> Self:
        """The entry as it is shown."""
        spec = entry.visualization.spec
        return cls(
            id=entry.visualization.digest,
            facet=entry.facet,
            recipe_digest=Recipe(spec.technique, spec.parameters).digest,
            visualization=Visualization.of(entry.visualization, class_labels),
        )


class AtlasEntryPage(Page[AtlasEntry]):
    version: int = Field(description="Number of the version: what `latest` or `open` stands for.")
    published: bool
