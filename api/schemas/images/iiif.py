"""The addresses of IIIF requests."""

from pydantic import Field

from api.schemas.atlases import AtlasLayerPath, AtlasVersionPath
from api.schemas.base import Name

_REGION = "`full`, or x,y,w,h of a tile."
_SIZE = "`max`, or w,h of one of the sizes that info.json names, or of a tile."


class ImageOfLayerPath(AtlasLayerPath):
    """The address of a part of a layer's sheet."""

    region: Name = Field(description=_REGION)
    extent: Name = Field(description=_SIZE)


class ImageOfPosterPath(AtlasVersionPath):
    """The address of a part of a poster."""

    region: Name = Field(description=_REGION)
    extent: Name = Field(description=_SIZE)
