"""What the ascent raises: the activation of one unit a picture."""

from collections.abc import Sequence

import torch
from torch import Tensor

from imago_engine.objectives import Place
from imago_engine.synthesis.inspection.anatomy import TracedLayer


class ObjectiveError(ValueError):
    """A unit, position or token that the layer does not have."""


class UnitObjective:
    """Item n's own unit, at its own place: layer output [N, C] or [N, C, H, W] → activations [N] in float32.

    `units` is [N]; `positions` gives a place or None for each item. Without one a unit is read at the layer's
    usual place. Raises `ObjectiveError` that names the item.
    """

    positions: tuple[Place, ...]
    """Where each of the N items is read."""

    def __init__(
        self,
        layer: TracedLayer,
        units: Sequence[int],
        positions: Sequence[Place | None],
        device: torch.device | str = "cpu",
    ) -> None:
        channels, *spatial = layer.shape
        places = []
        for n, (unit, position) in enumerate(zip(units, positions, strict=True)):
            if not 0 <= unit < channels:
                raise ObjectiveError(
                    f"item {n}: unit {unit} of layer {layer.name}; expected 0 to {channels - 1}"
                )
            if position is not None:
                _check_place(f"item {n}", layer, position)
            places.append((unit, *(layer.place if position is None else position)))
        self.positions = tuple((y, x) for _, y, x in places)
        self._is_vector = not spatial
        columns = torch.tensor(places, device=device).view(-1, 3)  # [N, 3]
        self._unit, self._y, self._x = columns.unbind(1)  # [N] each
        self._item = torch.arange(len(places), device=device)  # [N]

    def __call__(self, output: Tensor) -> Tensor:
        if self._is_vector:
            return output[self._item, self._unit].float()  # [N, C] → [N]
        return output[self._item, self._unit, self._y, self._x].float()  # [N, C, H, W] → [N]

    def over_places(self, output: Tensor) -> Tensor:
        """The mean of each item's channel over all places of its map; of a vector the unit itself."""
        if self._is_vector:
            return self(output)
        return output[self._item, self._unit].float().mean((1, 2))  # [N, C, H, W] → [N]

    def only(self, kept: Tensor) -> "UnitObjective":
        """The objective of the items whose indices are in `kept` [M]; one may be there several times."""
        part = object.__new__(UnitObjective)
        part.positions = tuple(self.positions[n] for n in kept.tolist())
        part._is_vector = self._is_vector
        part._unit, part._y, part._x = self._unit[kept], self._y[kept], self._x[kept]  # [M] each
        part._item = torch.arange(len(kept), device=kept.device)  # [M]
        return part


def _check_place(item: str, layer: TracedLayer, position: Place) -> None:
    y, x = position
    if len(layer.shape) == 1:
        raise ObjectiveError(
            f"{item}: position {position}, but units of {layer.name} have no places; expected none"
        )
    height, width = layer.shape[1:]
    if 0 <= y < height and 0 <= x < width:
        return
    if layer.tokens is not None:
        token = y if x == 0 else position
        raise ObjectiveError(f"{item}: token {token} of layer {layer.name}; expected 0 to {layer.tokens - 1}")
    raise ObjectiveError(
        f"{item}: position (y={y}, x={x}) of layer {layer.name}; expected y from 0 to "
        f"{height - 1} and x from 0 to {width - 1}"
    )
