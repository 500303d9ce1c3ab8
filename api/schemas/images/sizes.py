"""Which picture is asked for, in which size and format."""

from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from api.schemas.base import Name, NoQuery, Whole
from api.schemas.networks import UnitPath
from api.schemas.visualizations import DigestPath
from services.pictures.renditions import Format, Size


class ImageFilePath(DigestPath):
    """The address of a picture that ends in its format."""

    format: Format = Field(description="png, webp, avif or jpg.")


class UnitImageFilePath(UnitPath):
    """The address of a unit's picture that ends in its format."""

    format: Format = Field(description="png, webp, avif or jpg.")


def _size(sent: object) -> object:
    return int(sent) if isinstance(sent, str) and sent in map(str, get_args(Size)) else sent


class ImageFileQuery(NoQuery):
    """Which part of the picture, and in which size."""

    view: Literal["full", "crop"] = Field(
        "full", description="The whole image, or the part of it that the unit sees."
    )
    size: Annotated[Size, BeforeValidator(_size)] | None = Field(
        None,
        description="Pixels of its longer side: 64, 128, 256 or 512. Nothing is enlarged; by default it "
        "comes as large as it is.",
    )


class ImageQuery(ImageFileQuery):
    """Which part of the picture, and in which size and format."""

    format: Format = Field("png", description="png, which loses nothing, webp, avif or jpg.")


class UnitImageFileQuery(ImageFileQuery):
    """Which of a unit's pictures, and in which size."""

    atlas: Name | None = Field(
        None, description="Id of an atlas: its picture of the unit instead of the best that there is now."
    )
    version: Name | None = Field(
        None, description="Version of the atlas: a number, `open`, or `latest`, the default. Needs `atlas`."
    )
    facet: Whole | None = Field(
        None,
        ge=0,
        le=15,
        description="Which of the atlas's pictures of the unit; 0 by default. Needs `atlas`.",
    )

    @model_validator(mode="after")
    def _of_an_atlas(self) -> Self:
        if self.atlas is None and (self.version is not None or self.facet is not None):
            raise ValueError("version and facet are an atlas's: name it as `atlas`")
        return self


class UnitImageQuery(UnitImageFileQuery, ImageQuery):
    """Which of a unit's pictures, and in which size and format."""
