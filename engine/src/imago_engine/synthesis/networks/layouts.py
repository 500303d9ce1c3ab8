"""Layouts: which axis of a layer's output counts its units, and which its places."""

from enum import Enum

from torch import Tensor


class Layout(Enum):
    """The axes of a layer's output, in the order in which the network has them."""

    VECTOR = "[N, C]"
    """One number a unit."""
    MAP = "[N, C, H, W]"
    """A map of each channel, as convolutions give it."""
    MAP_CHANNELS_LAST = "[N, H, W, C]"
    """The same with the channels last, as Swin and its kin have it."""
    TOKENS = "[N, T, C]"
    """Tokens with the same channels each, as the blocks of vision transformers give them."""

    @property
    def axes(self) -> int:
        """How many axes such an output has, the batch among them."""
        return self.value.count(",") + 1

    def units_first(self, output: Tensor) -> Tensor:
        """The output as [N, C] or [N, C, H, W], without a copy. T tokens become T rows of one column."""
        if self is Layout.MAP_CHANNELS_LAST:
            return output.permute(0, 3, 1, 2)  # [N, H, W, C] → [N, C, H, W]
        if self is Layout.TOKENS:
            return output.transpose(1, 2)[..., None]  # [N, T, C] → [N, C, T, 1]
        return output

    def as_given(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a picture's output in the network; `shape`, [C] or [C, H, W], has the units first."""
        if self is Layout.MAP_CHANNELS_LAST:
            channels, height, width = shape
            return height, width, channels
        if self is Layout.TOKENS:
            channels, tokens, _ = shape
            return tokens, channels
        return shape
