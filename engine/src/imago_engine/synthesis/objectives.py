"""What the ascent raises: the activation of one unit a picture."""

from collections.abc import Sequence

import torch
from torch import Tensor

from imago_engine.synthesis.inspection.anatomy import TracedLayer

Position = tuple[int, int]
"""(y, x) within a layer's map."""


class ObjectiveError(ValueError):
    """A unit or position that the layer does not have."""


class UnitObjective:
    """Item n's own unit, at its own place: layer output [N, C] or [N, C, H, W] → activations [N] in float32.

    `units` is [N]; `positions` gives (y, x) or None for each item. Without a position a channel is read at
    its centre, (H // 2, W // 2). Raises `ObjectiveError` that names the item.
    """

    def __init__(
        self,
        layer: TracedLayer,
        units: Sequence[int],
        positions: Sequence[Position | None],
        device: torch.device | str = "cpu",
    ) -> None:
        channels, *spatial = layer.shape
        height, width = spatial or (1, 1)
        places = []
        for n, (unit, position) in enumerate(zip(units, positions, strict=True)):
            if not 0 <= unit < channels:
                raise ObjectiveError(
                    f"item {n}: unit {unit} of layer {layer.name}; expected 0 to {channels - 1}"
                )
            if position is not None and not spatial:
                raise ObjectiveError(
                    f"item {n}: position {position}, but units of {layer.name} have no places; expected none"
                )
            y, x = position or (height // 2, width // 2)
            if not (0 <= y < height and 0 <= x < width):
                raise ObjectiveError(
                    f"item {n}: position (y={y}, x={x}) of layer {layer.name}; expected y from 0 to "
                    f"{height - 1} and x from 0 to {width - 1}"
                )
            places.append((unit, y, x))
        self.positions = tuple((y, x) for _, y, x in places)
        self._is_vector = not spatial
        self._unit, self._y, self._x = torch.tensor(places, device=device).view(-1, 3).unbind(1)
        self._item = torch.arange(len(places), device=device)

    def __call__(self, output: Tensor) -> Tensor:
        if self._is_vector:
            return output[self._item, self._unit].float()
        return output[self._item, self._unit, self._y, self._x].float()

    def only(self, kept: Tensor) -> "UnitObjective":
        """The objective of the items whose indices are in `kept` [M]; one may be there several times."""
        part = object.__new__(UnitObjective)
        part.positions = tuple(self.positions[n] for n in kept.tolist())
        part._is_vector = self._is_vector
        part._unit, part._y, part._x = self._unit[kept], self._y[kept], self._x[kept]
        part._item = torch.arange(len(kept), device=kept.device)
        return part
