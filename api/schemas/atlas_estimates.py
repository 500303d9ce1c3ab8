"""What an atlas, or an extension of one, would take."""

from typing import Literal, Self

from pydantic import Field

from api.schemas.base import Representation
from api.schemas.estimates import EtaRange
from services.atlases.atlas_estimates import AtlasEstimate as Estimate
from services.atlases.atlas_estimates import LayerEstimate as EstimateOfLayer


class LayerEstimate(Representation):
    """What a layer would take."""

    layer: str
    unit_count: int
    pictures: int
    cached: int = Field(description="Pictures that are known already.")
    technique: str
    seconds: float | None = Field(description="That the workers need for the others alone.")

    @classmethod
    def of(cls, found: EstimateOfLayer) -> Self:
        """The estimate as it is shown."""
        return cls(
            layer=found.pictures.layer.name,
            unit_count=found.pictures.unit_count,
            pictures=found.pictures.count,
            cached=found.cached,
            technique=found.pictures.making.recipe.technique,
            seconds=found.seconds.likely if found.seconds else None,
        )


class AtlasEstimate(Representation):
    """What an atlas, or an extension of one, would take; nothing of it was made."""

    object: Literal["atlas_estimate"] = "atlas_estimate"
    network: str
    generator: str | None
    layers: list[LayerEstimate]
    pictures: int
    cached: int = Field(description="Pictures that are known already.")
    cached_is: Literal["exact", "sampled"] = Field(
        description="Whether every picture was looked up, or 20,000 of them that stand for all."
    )
    seconds: float | None = Field(
        description="That the workers need for it alone; null where nothing tells it: no worker is alive, or "
        "none has ever done anything."
    )
    eta_seconds: float | None = Field(description="Until it is done, with all that goes before it.")
    eta_range: EtaRange | None = Field(description="Bounds of it.")
    bytes: int | None = Field(description="That it adds to the store; null where no picture tells it.")
    room: int | None = Field(description="Bytes that the store has left; null where nothing tells it.")
    fits: bool = Field(description="False where the store plainly lacks the room.")

    @classmethod
    def of(cls, found: Estimate) -> Self:
        """The estimate as it is shown."""
        return cls(
            network=found.network,
            generator=found.generator,
            layers=[LayerEstimate.of(layer) for layer in found.layers],
            pictures=found.pictures,
            cached=found.cached,
            cached_is="exact" if found.exact else "sampled",
            seconds=found.seconds.likely if found.seconds else None,
            eta_seconds=found.eta.likely if found.eta else None,
            eta_range=EtaRange.of(found.eta),
            bytes=found.bytes,
            room=found.room,
            fits=found.fits,
        )
