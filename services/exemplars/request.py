"""What a scan is asked for with."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from imago_engine.exemplars.quantiles import KEPT, MOST_KEPT
from services.access.data_root import SourceNames
from services.atlases.atlas_request import Layers


class ScanRequest(BaseModel):
    """Pictures to look at, the layers to watch, and how many exemplars of each unit to keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: SourceNames
    layers: Layers = "blocks"
    exemplars: Annotated[
        StrictInt, Field(ge=1, le=MOST_KEPT, description="How many pictures are kept of each unit")
    ] = KEPT
    input_size: Annotated[
        StrictInt | None,
        Field(
            ge=16,
            le=1024,
            description="Side in pixels of what the network sees of each picture; null for the size at which "
            "pictures of the default generator are looked at, so that activations can be compared",
        ),
    ] = None
