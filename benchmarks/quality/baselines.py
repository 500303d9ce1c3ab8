"""Priors that need no training: Lucid's and Lucent's parametrisations of a picture, with their usual
transforms.

Olah, Mordvintsev and Schubert 2017, "Feature Visualization" (distill.pub). A picture is a sigmoid of three
decorrelated colours, each a field of pixels or of scaled Fourier coefficients; before every look of the
network it is padded with grey, jittered, scaled, rotated and jittered again; Adam climbs at 0.05.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from imago_engine.synthesis.ascent import Item
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network
from imago_engine.synthesis.networks.truncate import Prefix
from imago_engine.synthesis.objectives import UnitObjective
from imago_engine.synthesis.stored_pixels import from_bytes, to_bytes

Parametrisation = Literal["fourier", "pixel"]
PARAMETRISATIONS: tuple[Parametrisation, ...] = get_args(Parametrisation)

LEARNING_RATE = 0.05
START_DEVIATION = 0.01
# Square root of the colour covariance of natural pictures (Lucid), scaled so that its longest column is 1.
_COLOUR_ROOT = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOURS = _COLOUR_ROOT / _COLOUR_ROOT.norm(dim=0).max()
PAD, JITTERS = 12, (8, 4)
SCALES = tuple(1 + (i - 5) / 50 for i in range(11))
ANGLES = (*range(-10, 11), 0, 0, 0, 0, 0)


class Canvas:
    """N pictures of `size` pixels and what they are made of. `values` is what the ascent changes."""

    def __init__(self, kind: Parametrisation, size: int, draws: Sequence[torch.Generator]) -> None:
        self.kind, self.size = kind, size
        shape = (3, size, size) if kind == "pixel" else (3, size, size // 2 + 1, 2)
        start = torch.stack([torch.randn(shape, generator=draw) for draw in draws])
        self.values = (START_DEVIATION * start).requires_grad_()
        # 1 / frequency, as in natural pictures; the lowest is that of one wave a picture.
        rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
        self._scale = 1 / torch.hypot(rows, columns).clamp_min(1 / size)

    def pictures(self) -> Tensor:
        """RGB [N, 3, S, S] in (0, 1)."""
        field = self.values
        if self.kind == "fourier":
            spectrum = torch.view_as_complex(self.values) * self._scale
            # The 4 is Lucid's: it keeps the sigmoid from saturating.
            field = torch.fft.irfft2(spectrum, s=(self.size, self.size), norm="ortho") / 4
        return torch.einsum("rc,nchw->nrhw", COLOURS, field).sigmoid()


def climb(
    network: Network,
    kind: Parametrisation,
    layer: str,
    items: Sequence[Item],
    *,
    steps: int,
    input_size: int,
    on_step: Callable[[int], None] = lambda done: None,
) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [N, 3, S, S], S = `input_size`, and their activations [N], measured on them
    untransformed.

    Each item has its own draws and its own entries of Adam, so it does not depend on its batch.
    """
    prefix = Prefix(network.module, (found := find_layer(network, layer, input_size)).name)
    objective = UnitObjective(found, [i.unit for i in items], [i.position for i in items])
    draws = [torch.Generator().manual_seed(item.seed) for item in items]
    canvas = Canvas(kind, input_size, draws)
    adam = torch.optim.Adam([canvas.values], lr=LEARNING_RATE)
    for step in range(steps):
        seen = warped(canvas.pictures(), torch.stack([drawn_warp(draw, input_size) for draw in draws]))
        activation = objective(prefix(network.preprocessing(seen)))
        adam.zero_grad()
        (-activation.sum()).backward()  # type: ignore[no-untyped-call]
        adam.step()
        on_step(step + 1)
    with torch.no_grad():
        pixels = to_bytes(canvas.pictures())
        return pixels, objective(prefix(network.preprocessing(from_bytes(pixels))))


def drawn_warp(draw: torch.Generator, size: int) -> Tensor:
    """One item's transform of one step, [2, 3]: from places in what is seen to places in the picture, both in
    [−1, 1].

    Lucid's sequence in one step, so that a picture is resampled once: pad by 12; a random crop 8 pixels
    smaller; a scale of 0.9 to 1.1; a rotation of up to 10 degrees, none in 6 of 26 cases; a random crop 4
    pixels smaller; resize to the input.
    """

    def pick(count: int) -> int:
        return int(torch.randint(count, (), generator=draw))

    shift = [sum(pick(limit + 1) - limit / 2 for limit in JITTERS) * 2 / size for _ in range(2)]
    window = (size + 2 * PAD - sum(JITTERS)) / size
    zoom = window / SCALES[pick(len(SCALES))]
    angle = math.radians(ANGLES[pick(len(ANGLES))])
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    return torch.tensor([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def warped(pictures: Tensor, warps: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] in [0, 1] seen through `warps` [N, 2, 3]; grey lies beyond their edges."""
    grid = F.affine_grid(warps, list(pictures.shape), align_corners=False)
    return (
        F.grid_sample(pictures - 0.5, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + 0.5
    )
