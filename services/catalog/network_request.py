"""The request that registers a network. What its id tells is in the row that workers load from."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imago_engine.networks import LARGEST_STD, LEAST_STD, NetworkReference, SourceName
from services.base.errors import FieldError, Invalid
from services.base.plain_text import LONGEST_LABEL

_ARCHITECTURE_OF_FILE = re.compile(r"(torchvision|timm):[A-Za-z0-9_]+")

ClassName = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL, pattern=r"^[^\x00-\x1f\x7f]+$")]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Deviation = Annotated[float, Field(strict=True, ge=LEAST_STD, le=LARGEST_STD, allow_inf_nan=False)]


class RegisterNetwork(BaseModel):
    """What a network is registered with. Only `id` is needed unless the weights are a file of one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)+$",
            max_length=120,
            description="ARCHITECTURE.TAG: efficientnet_lite0.imagenet, resnet18.IMAGENET1K_V1 (torchvision),"
            " resnet18.a1_in1k (timm)",
        ),
    ]
    source: Annotated[
        SourceName | None,
        Field(description="Where it comes from; by default told from the id"),
    ] = None
    architecture: Annotated[
        str | None,
        Field(max_length=120, description="For source file: torchvision:NAME or timm:NAME"),
    ] = None
    weights: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*\.safetensors$",
            max_length=120,
            description="For source file: the name of a file in the weights folder of the workers",
        ),
    ] = None
    classes: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="For source file: number of outputs, if not the usual"),
    ] = None
    labels: Annotated[
        list[ClassName] | None,
        Field(
            min_length=1,
            max_length=100_000,
            description="Names of its classes, one an output, where its source does not know them",
        ),
    ] = None
    mean: Annotated[
        list[Share] | None,
        Field(
            min_length=3,
            max_length=3,
            description="What is taken off red, green and blue from 0 to 1, where its source is wrong",
        ),
    ] = None
    std: Annotated[
        list[Deviation] | None,
        Field(min_length=3, max_length=3, description="What the three are then divided by"),
    ] = None
    input_size: Annotated[
        int | None, Field(strict=True, ge=8, le=1024, description="Side in pixels of its own input")
    ] = None
    channels: Annotated[
        Literal["rgb", "bgr"] | None, Field(description="Order in which it takes the colours")
    ] = None

    def stated(self) -> dict[str, Any]:
        """What is stated of the weights against their source, in the words of the row."""
        given = {
            "labels": self.labels,
            "mean": self.mean and [float(value) for value in self.mean],
            "std": self.std and [float(value) for value in self.std],
            "size": self.input_size,
            "bgr": None if self.channels is None else self.channels == "bgr",
        }
        return {name: value for name, value in given.items() if value is not None}


def in_words(classes: int | None, stated: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says was stated of a network, in the words of the request: the same request again would
    register the same. None where its source tells."""
    bgr = stated.get("bgr")
    return {
        "classes": classes,
        **{name: stated.get(name) for name in ("labels", "mean", "std")},
        "input_size": stated.get("size"),
        "channels": None if bgr is None else "bgr" if bgr else "rgb",
    }


def columns_of(request: RegisterNetwork) -> dict[str, Any]:
    """The columns of a registration, with what can be told from the id filled in. Raises `Invalid`.

    For published weights `weights` is the tag, such as `a1_in1k`.
    """
    told = NetworkReference.parse(request.id)
    name = told.architecture
    source = request.source or ("file" if request.weights is not None else told.source)
    errors = []
    if source == "file":
        if request.weights is None:
            errors.append(
                FieldError("/weights", "is required for source file: the name of a .safetensors file")
            )
        if request.architecture is None or not _ARCHITECTURE_OF_FILE.fullmatch(request.architecture):
            got = f"; got {request.architecture!r}" if request.architecture else ""
            errors.append(
                FieldError("/architecture", f"must be torchvision:NAME or timm:NAME for source file{got}")
            )
    else:
        if request.architecture not in (None, name):
            errors.append(FieldError("/architecture", f"must be {name!r}, as in the id, or be left out"))
        for field in ("weights", "classes"):
            if getattr(request, field) is not None:
                errors.append(
                    FieldError(f"/{field}", f"is for source file only; this network is of {source}")
                )
    if None not in (request.labels, request.classes) and len(request.labels or ()) != request.classes:
        errors.append(
            FieldError("/labels", f"must be {request.classes}, one a class; got {len(request.labels or ())}")
        )
    if errors:
        raise Invalid(errors)
    return {
        "id": request.id,
        "source": source,
        "architecture": request.architecture or name,
        "weights": request.weights if source == "file" else told.tag,
        "classes": request.classes,
        "stated": request.stated(),
    }
