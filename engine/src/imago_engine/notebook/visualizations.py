"""Pictures of units that show themselves in a notebook, alone and as a grid."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from imago_engine.objectives import TokenObjective, UnitObjective
from imago_engine.techniques import BaseParameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from imago_engine.synthesis.networks.load import Network
    from imago_engine.synthesis.pictures import Picture
    from imago_engine.synthesis.receptive_fields.receptive_field import Box

SHOWN = 192
"""Pixels of the side of a picture in a notebook's cell."""
GAP = 2


class Prediction(NamedTuple):
    """A class that the network sees in a picture."""

    label: str
    """Its name; the number as text where the network has no names."""
    probability: float
    unit: int


@dataclass(frozen=True, repr=False)
class Visualization:
    """The picture of one unit, and all that was measured on it."""

    network: str
    """Id of the network."""
    objective: UnitObjective | TokenObjective
    """Which unit of which layer, and at which place of it."""
    label: str | None
    """Name of the class, of a unit of the output."""
    seed: int
    technique: str
    parameters: Mapping[str, Any]
    """All parameters of the technique, as they were used."""
    image: "NDArray[np.uint8]" = field(compare=False)
    """HWC RGB in [0, 255]."""
    activation: float
    """Of the unit, for `image`."""
    predictions: tuple[Prediction, ...]
    """The five classes that the network finds most probable in `image`; none for a network without logits,
    and where these are no numbers."""
    trace: "NDArray[np.float32]" = field(compare=False)
    """The activation before each step."""
    code: "NDArray[np.float32] | None" = field(compare=False)
    """The generator's input that gives `image`; None for a technique without a generator."""
    crop_box: "Box | None"
    """(left, top, right, bottom): the part of `image` that the unit sees; None where it sees all of it."""
    status: Literal["done", "unreachable"]
    """`unreachable`: nothing that the picture shows changes the unit, so that it shows no preference."""
    score: float | None = None
    """How good the network finds the whole picture: of a class its log-probability at the network's own size,
    of a hidden unit its mean activation over views that the ascent has not seen. None where it is
    unreachable, or no number."""
    candidates: "Visualizations | None" = field(default=None, compare=False)
    """Where this is the best of several: all of them, the best first."""

    @classmethod
    def of(
        cls,
        picture: "Picture",
        network: "Network",
        objective: UnitObjective | TokenObjective,
        seed: int,
        technique: str,
        parameters: BaseParameters,
        is_output: bool,
    ) -> "Visualization":
        """From what the engine gives for one item."""
        labels = network.labels
        predictions = [
            Prediction(labels[unit] if unit < len(labels) else str(unit), probability, unit)
            for unit, probability in picture.predictions or ()
        ]
        return cls(
            network=network.id,
            objective=objective,
            label=labels[objective.unit] if is_output and labels else None,
            seed=seed,
            technique=technique,
            parameters=parameters.model_dump(),
            image=picture.image,
            activation=picture.activation,
            predictions=tuple(predictions),
            trace=picture.trace,
            code=picture.code,
            crop_box=picture.crop_box,
            status=picture.status,
            score=picture.score,
        )

    @property
    def layer(self) -> str:
        """Name of the layer."""
        return self.objective.layer

    @property
    def unit(self) -> int:
        """Number of the unit in its layer."""
        return self.objective.unit

    @property
    def crop(self) -> "NDArray[np.uint8]":
        """The part of `image` that the unit sees, HWC RGB."""
        if self.crop_box is None:
            return self.image
        left, top, right, bottom = self.crop_box
        return self.image[top:bottom, left:right]

    @property
    def name(self) -> str:
        """`layer/unit`, with the place where it is not the usual one, and the class's name."""
        place = ""
        if isinstance(self.objective, TokenObjective):
            place = f", token {self.objective.token}"
        elif self.objective.position is not None:
            place = "@{},{}".format(*self.objective.position)
        return f"{self.layer}/{self.unit}{place}" + (f" {_short(self.label)}" if self.label else "")

    def to_pil(self) -> "Image":
        """The image as one of Pillow's."""
        from PIL import Image

        return Image.fromarray(self.image)

    def save(self, path: str | Path) -> Path:
        """Write the image, in the format that the suffix names (PNG loses nothing). Answers the path."""
        self.to_pil().save(path)
        return Path(path)

    def __repr__(self) -> str:
        height, width, _ = self.image.shape
        unreachable = ", unreachable" if self.status == "unreachable" else ""
        return (
            f"<{self.network}/{self.name}, seed {self.seed}: {height}×{width} pixels, "
            f"activation {self.activation:.3g}{unreachable}>"
        )

    def _repr_png_(self) -> bytes:
        return _png(self.to_pil())

    def _repr_html_(self) -> str:
        return self._figure(f"width:{SHOWN}px")

    def _figure(self, style: str) -> str:
        source = base64.b64encode(self._repr_png_()).decode()
        lines = [f"<b>{escape(self.name)}</b>", f"seed {self.seed}, activation {self.activation:.3g}"]
        if self.status == "unreachable":
            lines.append("unreachable: this shows no preference")
        elif self.predictions:
            best = self.predictions[0]
            lines.append(f"{escape(_short(best.label))} {best.probability:.0%}")
        return (
            f'<figure style="display:inline-block;margin:4px;vertical-align:top;{style}">'
            f'<img src="data:image/png;base64,{source}" alt="{escape(self.name)}" style="width:100%">'
            f'<figcaption style="font-size:smaller">{"<br>".join(lines)}</figcaption></figure>'
        )


class Visualizations(Sequence[Visualization]):
    """Pictures that show themselves as a grid. Indexed like a list; a slice is a smaller grid."""

    def __init__(self, pictures: Iterable[Visualization]) -> None:
        self._pictures = tuple(pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, key: int) -> Visualization: ...
    @overload
    def __getitem__(self, key: slice) -> "Visualizations": ...
    def __getitem__(self, key: int | slice) -> "Visualization | Visualizations":
        found = self._pictures[key]
        return found if isinstance(found, Visualization) else Visualizations(found)

    def grid(self, columns: int | None = None) -> "NDArray[np.uint8]":
        """All images side by side, HWC RGB, as near to a square as may be unless `columns` are given."""
        import numpy as np

        if not self._pictures:
            raise ValueError("there are no pictures to put into a grid")
        columns = columns or math.ceil(math.sqrt(len(self)))
        rows = math.ceil(len(self) / columns)
        height = max(picture.image.shape[0] for picture in self) + GAP
        width = max(picture.image.shape[1] for picture in self) + GAP
        sheet = np.full((rows * height - GAP, min(columns, len(self)) * width - GAP, 3), 255, np.uint8)
        for n, picture in enumerate(self):
            top, left = n // columns * height, n % columns * width
            sheet[top : top + picture.image.shape[0], left : left + picture.image.shape[1]] = picture.image
        return sheet

    def to_pil(self, columns: int | None = None) -> "Image":
        """The grid as an image of Pillow's."""
        from PIL import Image

        return Image.fromarray(self.grid(columns))

    def save(self, path: str | Path, columns: int | None = None) -> Path:
        """Write the grid, in the format that the suffix names (PNG loses nothing). Answers the path."""
        self.to_pil(columns).save(path)
        return Path(path)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._pictures)) or "<no pictures>"

    def _repr_png_(self) -> bytes | None:
        return _png(self.to_pil()) if self._pictures else None

    def _repr_html_(self) -> str:
        return "".join(picture._figure(f"width:{SHOWN}px") for picture in self._pictures) or "no pictures"


def _short(label: str) -> str:
    """The first of the names that ImageNet lists for a class."""
    return label.partition(", ")[0]


def _png(image: "Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
