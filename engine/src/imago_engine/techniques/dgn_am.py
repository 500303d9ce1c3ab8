"""DGN-AM: the code of a learned generator climbs until its picture excites a unit most.

Deep generator network activation maximization (Nguyen et al. 2016, arXiv 1605.09304). Beyond the paper, for
generators that know the prior of their codes: in the `whitened` space a step moves the code's coordinates
along the principal directions of real codes, in σ, and these stay within `radius` times √(number of
directions) of the mean instead of `bounds`; the starts `prototype`, `prototypes` and `direction` begin at
real codes.
"""

from typing import Annotated, Literal, TypeGuard

from pydantic import Field

from imago_engine.artifacts import ArtifactKind
from imago_engine.techniques.base import BaseParameters, Need, Requires, Steps, Technique, added_later

BoundsMode = Literal["sigma", "unit", "flat30", "none"]
SpaceMode = Literal["plain", "whitened"]
StartMode = Literal["normal", "half-normal", "prototype", "prototypes", "direction"]
DIRECTION: StartMode = "direction"
FitMode = Literal["auto", "crop", "resize"]
Precision = Literal["bfloat16", "float32"]


class DgnAm(BaseParameters):
    """DGN-AM: activation maximization in the code space of a learned generator (Nguyen et al. 2016)."""

    steps: Steps = 200
    learning_rate: Annotated[
        float,
        Field(gt=0, le=1000, description="First step's mean absolute change of a code neuron"),
    ] = 8.0
    learning_rate_end: Annotated[
        float, Field(ge=0, le=1000, description="The same at the end; it falls linearly")
    ] = 1e-10
    decay: Annotated[
        float, Field(gt=0, le=1, description="Factor on the code after each step; 1 keeps it as it is")
    ] = 0.99
    bounds: Annotated[
        BoundsMode,
        Field(
            description="Limits of each code neuron: its own statistics over real images (sigma),"
            " [-1, 1] (unit), [0, 30] (flat30), or no limit"
        ),
    ] = "sigma"
    bounds_k: Annotated[
        float, Field(gt=0, le=10, description="With sigma bounds: how many σ above μ the upper limit lies")
    ] = 3.0
    space: Annotated[
        SpaceMode,
        Field(
            description="What a step moves: the code's neurons within bounds, or its coordinates along the"
            " principal directions of real codes within a radius"
        ),
        Requires(Need.PRIOR, ("whitened",)),
    ] = "plain"
    radius: Annotated[
        float,
        Field(
            gt=0,
            le=10,
            description="In the whitened space, how far from the mean code: 1 is usual for real codes",
        ),
    ] = 1.2
    start: Annotated[
        StartMode,
        Field(
            description="First code: N(0, 1), the absolute value of it times the neuron's σ, the typical"
            " code whose image excites the unit most (seeds 0 to 15 take the best 16 in turn), or the mean of"
            " the best 16, weighted by how much (prototypes; seeds 1 to 15 lean to one of them), or this mean"
            " moved in the direction of codes in which the unit's activation grows (direction)"
        ),
        Requires(Need.PRIOR, ("prototype", "prototypes", "direction")),
    ] = "normal"
    direction_weight: Annotated[
        float,
        Field(
            ge=0,
            le=5,
            description="With the start direction: how far it moves, in the distance of real codes from the"
            " mean code, σ·√(number of directions)",
        ),
        added_later,
    ] = 0.5
    direction_codes: Annotated[
        int,
        Field(
            ge=64,
            le=65_536,
            description="With the start direction: how many codes the network sees the pictures of, to learn"
            " the directions by regression; in the encoder's own network those of its late layers are known",
        ),
        added_later,
    ] = 2048
    direction_ridge: Annotated[
        float,
        Field(
            gt=0,
            le=1000,
            description="With the start direction: strength of the regression's ridge, in the mean"
            " variance of a coordinate",
        ),
        added_later,
    ] = 0.3
    start_spread: Annotated[
        float,
        Field(
            ge=0,
            le=5,
            description="With a start at prototypes: standard deviation of what a seed adds to it, in σ of"
            " real codes; more makes seeds differ more",
        ),
        added_later,
    ] = 0.1
    fit: Annotated[
        FitMode,
        Field(
            description="From image to network input: centre crop, bilinear resize, or (auto) a crop where"
            " the image is large enough, else a resize"
        ),
    ] = "auto"
    jitter: Annotated[
        int, Field(ge=0, le=64, description="Largest random shift of the image at each step, in pixels")
    ] = 0
    zoom: Annotated[
        float,
        Field(ge=1, le=8, description="Largest random magnification of a part of the image at each step"),
    ] = 1.0
    l2: Annotated[float, Field(ge=0, le=1000, description="Weight of the penalty on the code's norm")] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1, description="Share of the last update in the next")] = 0.0
    precision: Annotated[
        Precision,
        Field(
            description="How coarsely steps may be rounded: with bfloat16 a device that has units for it"
            " computes them with 8 significant bits, faster; pictures are drawn and measured in float32"
        ),
        added_later,
    ] = "bfloat16"


def needs_directions(parameters: BaseParameters) -> TypeGuard[DgnAm]:
    """Whether climbs by this recipe ask for the directions of units, for which the network is looked at
    once."""
    return isinstance(parameters, DgnAm) and parameters.start == DIRECTION


TECHNIQUE = Technique(
    id="dgn-am",
    version="3",
    Parameters=DgnAm,
    needs=frozenset({Need.GENERATOR}),
    artifacts=(ArtifactKind.IMAGE, ArtifactKind.CROP, ArtifactKind.CODE, ArtifactKind.TRACE),
)
