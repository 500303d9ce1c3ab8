"""Static sites of atlases."""

from typing import Literal, Self

from pydantic import Field

from api.schemas.base import Representation, RequestModel
from api.web.static_site import files


class SiteQuery(RequestModel):
    """What is part of the site."""

    exemplars: bool = Field(
        True,
        description="Whether the photographs that excite units most are, where some were scanned: not "
        "everybody who has photographs may publish them.",
    )


class SiteFile(Representation):
    """A file of a static site: its text, or where its bytes are."""

    object: Literal["site_file"] = "site_file"
    path: str = Field(description="From the root of the site.")
    text: str | None = Field(description="Null for a picture.")
    source: str | None = Field(description="Where the bytes of a picture are, null for a text.")
    ended: int = Field(description="How many pictures of the version are in what comes until here.")

    @classmethod
    def of(cls, file: files.SiteFile) -> Self:
        """The file as it is shown."""
        return cls(path=file.path, text=file.text, source=file.source, ended=file.ended)
