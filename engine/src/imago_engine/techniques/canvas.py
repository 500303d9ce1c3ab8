"""What the techniques share that climb a picture itself, without a generator."""

from typing import Annotated

from pydantic import Field

from imago_engine.techniques.base import BaseParameters, Steps


class CanvasParameters(BaseParameters):
    """A picture of the size of the network's input is a sigmoid of three decorrelated colours. Before each
    step it is padded with grey, cut, scaled, rotated and cut again; Adam climbs. The defaults are those of
    Lucid (Olah, Mordvintsev and Schubert 2017).
    """

    steps: Steps = 256
    learning_rate: Annotated[float, Field(gt=0, le=10, description="Adam's, the same at each step")] = 0.05
    deviation: Annotated[
        float,
        Field(gt=0, le=10, description="Standard deviation of the random values that a picture begins with"),
    ] = 0.01
    padding: Annotated[
        int, Field(ge=0, le=64, description="Grey around the picture before each step, in pixels")
    ] = 12
    jitter: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="The padded picture is cut at random to so many pixels less, and to half as many less"
            " after it was scaled and rotated",
        ),
    ] = 8
    scale: Annotated[
        float,
        Field(
            ge=0,
            le=0.5,
            description="Largest random change of scale at each step, as a share: 0.1 is 0.9 to 1.1",
        ),
    ] = 0.1
    rotation: Annotated[
        float, Field(ge=0, le=180, description="Largest random rotation at each step, in degrees")
    ] = 10.0
