"""Streaming top-k: of each unit the pictures that excite it most, whatever their number."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Places = Callable[[Tensor, Tensor], Tensor]
"""Pictures of a batch [M] and units of a layer [M] → the places [M] where each unit is strongest in its
picture."""
NOBODY = -1
"""The number of a picture where there are fewer than are kept."""


class Strongest:
    """The `kept` strongest of `units` units. Of equal ones the picture with the lower number goes first, so
    that the result does not depend on where a scan was interrupted. What is held does not grow."""

    def __init__(self, units: int, kept: int, device: torch.device | str = "cpu") -> None:
        self.activations = torch.full((units, kept), -torch.inf, dtype=torch.float32, device=device)
        """[U, K], the strongest first; −∞ where there are fewer."""
        self.pictures = torch.full((units, kept), NOBODY, dtype=torch.int64, device=device)
        """[U, K]: their numbers."""
        self.places = torch.zeros((units, kept), dtype=torch.int32, device=device)
        """[U, K]: where in the layer's map, row by row."""

    def offer(self, first: int, values: Tensor, numbers: Tensor, places: Places) -> None:
        """Take in what a batch does to the units from `first` on: `values` float32 [N, C] of pictures
        `numbers` [N], which rise and are higher than all before. What is no finite number does not count."""
        kept = self.activations.shape[1]
        values = torch.where(torch.isfinite(values), values, -torch.inf)
        known = self.activations[first : first + values.shape[1]]
        units = (values.amax(0) > known[:, -1]).nonzero()[:, 0]  # [M]
        if not len(units):
            return
        rows = first + units
        both = torch.cat([known[units], values[:, units].T], 1)  # [M, K + N]
        activations, order = both.sort(dim=1, descending=True, stable=True)
        activations, order = activations[:, :kept], order[:, :kept]
        there = activations > -torch.inf
        new, member = there & (order >= kept), (order - kept).clamp(min=0)
        before = order.clamp(max=kept - 1)
        pictures = torch.where(new, numbers[member], self.pictures[rows].gather(1, before))
        found = self.places[rows].gather(1, before)
        m, slot = new.nonzero(as_tuple=True)
        found[m, slot] = places(member[m, slot], units[m]).to(found.dtype)
        self.activations[rows] = activations
        self.pictures[rows] = torch.where(there, pictures, NOBODY)
        self.places[rows] = torch.where(there, found, 0)

    def merge(self, other: "Strongest") -> None:
        """Take in those of a scan of other pictures, whose numbers tell them from these."""
        pictures = torch.cat([self.pictures, other.pictures], 1)
        by_number = pictures.argsort(dim=1, stable=True)
        activations = torch.cat([self.activations, other.activations], 1).gather(1, by_number)
        best = activations.argsort(dim=1, descending=True, stable=True)[:, : self.activations.shape[1]]
        order = by_number.gather(1, best)
        self.activations = activations.gather(1, best)
        self.pictures = pictures.gather(1, order)
        self.places = torch.cat([self.places, other.places], 1).gather(1, order)

    def state(self) -> dict[str, Tensor]:
        """All that there is to keep of it."""
        return {"activations": self.activations, "pictures": self.pictures, "places": self.places}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state, which is checked by `Scan.restore`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
