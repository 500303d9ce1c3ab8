"""Imports of exported atlases."""

from typing import Literal, Self

from pydantic import Field

from api.http.paths import atlas_path
from api.schemas.base import Representation
from services.exports import beginning


class AtlasImportLinks(Representation):
    entries: str = Field(description="Where the entries are sent.")
    atlas: str | None = Field(description="Null until it is whole.")


class AtlasImport(Representation):
    """How far an import is. Nobody sees the atlas before it is whole."""

    id: str = Field(description="That of the atlas.")
    object: Literal["atlas_import"] = "atlas_import"
    state: Literal["receiving", "complete"]
    entries: int = Field(description="Lines that the export has.")
    received: int = Field(description="Of these, the first that are here: the number of the next one.")
    links: AtlasImportLinks

    @classmethod
    def of(cls, found: beginning.Import) -> Self:
        """The import as it is shown."""
        path = atlas_path(found.atlas)
        return cls(
            id=found.atlas,
            state="complete" if found.complete else "receiving",
            entries=found.entries,
            received=found.received,
            links=AtlasImportLinks(entries=f"{path}/entries", atlas=path if found.complete else None),
        )
