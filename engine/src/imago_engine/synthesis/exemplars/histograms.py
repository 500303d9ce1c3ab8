"""Distributions of activations in fixed memory: one histogram a unit, whose bins follow its largest value.

The bins are those of the number format itself: of a float32 the exponent and the first three bits behind the
point, so 8 bins an octave, in the 8 octaves below the unit's largest absolute value, for both signs; what is
smaller has one bin a sign, and exact zeros have their own. When a larger value comes, the lowest octaves fall
together. So the result depends neither on the order of the values nor on where a scan was interrupted, two
histograms add up exactly, and the error is known: how many values are below an edge is exact, and a quantile
is wrong by at most a bin, an eighth of its own size, or 1/256 of the largest value where it is smaller than
that. Between edges values are taken to be spread evenly, which leaves much less.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_STEPS_BITS = 3
_STEPS = 2**_STEPS_BITS
_OCTAVES = 8
_LEVELS = _STEPS * _OCTAVES
_ZERO = _LEVELS + 1
BINS = 2 * _LEVELS + 3
"""From the lowest to the highest: negative levels, small negative values, zeros, small positive values,
positive levels."""
_SHIFT = 23 - _STEPS_BITS
_WITHOUT_SIGN = 0x7FFFFFFF
_LARGEST_CODE = 255 << _STEPS_BITS


class Histograms:
    """Of `units` units. Values that are no finite numbers are left out."""

    def __init__(self, units: int, device: torch.device | str = "cpu") -> None:
        self.counts = torch.zeros((units, BINS), dtype=torch.int32, device=device)
        self.octaves = torch.zeros(units, dtype=torch.int32, device=device)
        """[U]: the exponent, as float32 has it, of the largest absolute value."""
        self.lowest = torch.full((units,), torch.inf, dtype=torch.float32, device=device)
        self.highest = torch.full((units,), -torch.inf, dtype=torch.float32, device=device)

    def add(self, first: int, values: Tensor) -> None:
        """Count what a batch does to the units from `first` on, float32 [N, C]."""
        own = slice(first, first + values.shape[1])
        finite = torch.isfinite(values)
        self.lowest[own] = torch.minimum(self.lowest[own], torch.where(finite, values, torch.inf).amin(0))
        self.highest[own] = torch.maximum(self.highest[own], torch.where(finite, values, -torch.inf).amax(0))
        values = torch.where(finite, values, 0.0).contiguous()
        bits = values.view(torch.int32) & _WITHOUT_SIGN
        code = bits >> _SHIFT  # [N, C], rises with the absolute value
        self._grow(first, code.amax(0) >> _STEPS_BITS)
        level = code - _lowest_code(self.octaves[own])
        magnitude = torch.where(bits == 0, 0, level.clamp(min=-1) + 2)  # 0: zero, 1: small, 2 …: levels
        bins = _ZERO + torch.where(values < 0, -magnitude, magnitude)
        place = torch.arange(values.shape[1], device=values.device) * BINS + bins  # [N, C]
        # Rows that lie together in memory: a view.
        self.counts[own].view(-1).index_add_(0, place.view(-1), finite.view(-1).int())

    def merge(self, other: "Histograms") -> None:
        """Add the counts of another scan of the same units."""
        self._grow(0, other.octaves)
        grown = Histograms(len(other.octaves), other.octaves.device)
        grown.counts.copy_(other.counts)
        grown.octaves.copy_(other.octaves)
        grown._grow(0, self.octaves)
        self.counts += grown.counts
        self.lowest = torch.minimum(self.lowest, other.lowest)
        self.highest = torch.maximum(self.highest, other.highest)

    def counted(self) -> Tensor:
        """How many values each unit had, [U]."""
        return self.counts.sum(1)

    def non_zero(self) -> Tensor:
        """The share of values that are not exactly zero, [U]; 0 of a unit that had none."""
        counted = self.counted()
        return (counted - self.counts[:, _ZERO]) / counted.clamp(min=1)

    def quantiles(self, levels: Tensor) -> Tensor:
        """The values below which these shares [Q] of all are, float32 [U, Q]; NaN of a unit that had none."""
        counts = self.counts.cpu().double()
        reached = counts.cumsum(1)  # [U, B]
        wanted = levels.double()[None] * reached[:, -1:]  # [U, Q]
        bins = torch.searchsorted(reached, wanted.contiguous()).clamp(max=BINS - 1)
        # At the share 0 the first bin with anything in it.
        bins = torch.maximum(bins, (reached > 0).int().argmax(1, keepdim=True))
        inside = counts.gather(1, bins)
        share = ((wanted - (reached.gather(1, bins) - inside)) / inside.clamp(min=1)).clamp(0, 1)
        edges = self._edges()
        low, high = edges.gather(1, bins), edges.gather(1, bins + 1)
        found = low + share * (high - low)
        lowest, highest = self.lowest.cpu().double()[:, None], self.highest.cpu().double()[:, None]
        found = torch.minimum(torch.maximum(found, lowest), highest)
        return torch.where(reached[:, -1:] > 0, found, torch.nan).float()

    def state(self) -> dict[str, Tensor]:
        """All that there is to keep of it."""
        return {
            "counts": self.counts,
            "octaves": self.octaves,
            "lowest": self.lowest,
            "highest": self.highest,
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state, which is checked by `Scan.restore`."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def _grow(self, first: int, octaves: Tensor) -> None:
        """Let the bins of the units from `first` on reach to these octaves [C] too."""
        own = slice(first, first + len(octaves))
        steps = (octaves - self.octaves[own]).clamp(0, _OCTAVES)  # octaves that fall together
        for step in sorted(set(steps.tolist())):
            if step:
                rows = first + (steps == step).nonzero()[:, 0]
                old = self.counts[rows]
                self.counts[rows] = torch.cat(
                    [
                        _raised(old[:, :_ZERO].flip(1), step * _STEPS).flip(1),
                        old[:, _ZERO : _ZERO + 1],
                        _raised(old[:, _ZERO + 1 :], step * _STEPS),
                    ],
                    1,
                )
        self.octaves[own] = torch.maximum(self.octaves[own], octaves)

    def _edges(self) -> Tensor:
        """Where bins begin and end, float64 [U, B + 1]."""
        levels = torch.arange(_LEVELS + 1, dtype=torch.int32)
        code = (_lowest_code(self.octaves.cpu())[:, None] + levels).clamp(0, _LARGEST_CODE)
        upper = (code << _SHIFT).view(torch.float32).double()  # [U, levels + 1]
        upper = upper.clamp(max=torch.finfo(torch.float32).max)
        zero = torch.zeros(len(upper), 2, dtype=torch.float64)
        return torch.cat([-upper.flip(1), zero, upper], 1)


def _lowest_code(octaves: Tensor) -> Tensor:
    """The code with which the lowest level begins."""
    code: Tensor = (octaves - (_OCTAVES - 1)) * _STEPS
    return code


def _raised(counts: Tensor, steps: int) -> Tensor:
    """Counts [M, 1 + levels] of small values and levels; the lowest `steps` levels become small ones."""
    small = counts[:, : steps + 1].sum(1, keepdim=True, dtype=counts.dtype)
    return torch.cat([small, counts[:, steps + 1 :], torch.zeros_like(counts[:, :steps])], 1)
