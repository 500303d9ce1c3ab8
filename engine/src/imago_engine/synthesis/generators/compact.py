"""A generator for small machines: residual blocks whose norms follow the code, about one GFLOP a picture."""

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SLOPE = 0.2
"""Of all leaky ReLUs, below zero."""

LARGEST_LOCAL = 16
"""Pixels up to which the places of a code set the style of their part of the picture."""


class ConditionalNorm(nn.Module):
    """Batch normalisation whose scale and shift follow the style vector [N, style] and, with `local`, what
    the code says of each place [N, local, 4, 4]; of places at first not at all.
    """

    def __init__(self, channels: int, style: int, local: int = 0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.film = nn.Linear(style, 2 * channels)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)
        self.local = nn.Conv2d(local, 2 * channels, 1, bias=False) if local else None
        if self.local is not None:
            nn.init.zeros_(self.local.weight)

    def forward(self, x: Tensor, style: Tensor, places: Tensor | None = None) -> Tensor:
        scale, shift = self._film(x, style, places)
        return torch.addcmul(shift, self.norm(x), scale + 1)

    def activated(self, x: Tensor, style: Tensor, places: Tensor | None = None) -> Tensor:
        """The norm of x, and leaky ReLU behind it."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        if self.training or mean is None or variance is None:
            return F.leaky_relu(self(x, style, places), SLOPE)
        # What was learned of x for all pictures goes into what the style says of one: x is passed once.
        scale, shift = (part.float() for part in self._film(x, style, places))
        scale = (scale + 1) * torch.rsqrt(variance + self.norm.eps)[:, None, None]
        shift = shift - scale * mean[:, None, None]
        y: Tensor = _ScaledLeaky.apply(x, scale.to(x.dtype), shift.to(x.dtype))
        return y

    def _film(self, x: Tensor, style: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scale (less 1) and shift, [N, C, 1, 1] each, with places [N, C, h, w]."""
        film = self.film(style)[:, :, None, None]  # [N, 2C, 1, 1]
        if self.local is not None and places is not None:
            by_place = self.local(places)  # [N, 2C, 4, 4]
            if by_place.shape[-2:] != x.shape[-2:]:
                by_place = F.interpolate(by_place, size=x.shape[-2:], mode="bilinear", align_corners=False)
            film = film + by_place  # [N, 2C, h, w]
        scale, shift = film.chunk(2, dim=1)
        return scale, shift


class _ScaledLeaky(torch.autograd.Function):
    """Leaky ReLU of x · scale + shift; x [N, C, H, W], the others the same or [N, C, 1, 1]. It keeps two maps
    where torch's functions keep three, and works in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = F.leaky_relu_(torch.addcmul(shift, x, scale), SLOPE)
        ctx.save_for_backward(x, scale, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, scale, y = ctx.saved_tensors
        inner = torch.ops.aten.leaky_relu_backward(gradient, y, SLOPE, True)
        of_scale, of_shift = (inner * x).sum_to_size(scale.shape), inner.sum_to_size(scale.shape)
        return inner * scale, of_scale, of_shift


class StyledResidual(nn.Module):
    """x + convolutions of x, each after a conditional norm and leaky ReLU; shape is kept. A `silent` one adds
    nothing at first.
    """

    def __init__(self, channels: int, style: int, depth: int, local: int = 0, silent: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(channels, style, local) for _ in range(depth))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))
        if silent:
            for tensor in self.convs[-1].parameters():
                nn.init.zeros_(tensor)

    def forward(self, x: Tensor, style: Tensor, places: Tensor | None = None) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            assert isinstance(norm, ConditionalNorm)
            y = conv(norm.activated(y, style, places))
        return x + y


class StyledNoise(nn.Module):
    """x [N, C, S, S] + one fixed map of noise, in each channel as strong as the style says and, with
    `by_place`, as x says of each place; at first not at all.

    A texture needs something irregular to be made of (Karras et al. 2019, arXiv 1812.04948, section 3.2). The
    noise is part of the weights, so the same code always gives the same picture. In training `shifts` [N, 2]
    of [0, 1) move the map, around its edges, for each picture: what is always the same could be drawn by
    heart.
    """

    def __init__(self, channels: int, style: int, size: int, by_place: bool = False) -> None:
        super().__init__()
        self.strength = nn.Linear(style, channels)
        nn.init.zeros_(self.strength.weight)
        nn.init.zeros_(self.strength.bias)
        self.by_place = nn.Conv2d(channels, channels, 1, bias=False) if by_place else None
        if self.by_place is not None:
            nn.init.zeros_(self.by_place.weight)
        self.map: Tensor
        self.register_buffer("map", torch.randn(size, size))

    def forward(self, x: Tensor, style: Tensor, shifts: Tensor | None = None) -> Tensor:
        strength = self.strength(style)[:, :, None, None]  # [N, C, 1, 1]
        if self.by_place is not None:
            strength = strength + self.by_place(x)  # [N, C, S, S]
        noise = self.map if shifts is None else self._moved(shifts)
        return torch.addcmul(x, strength, noise.to(x.dtype))

    def _moved(self, shifts: Tensor) -> Tensor:
        """[N, 1, S, S]."""
        size = len(self.map)
        places = torch.arange(size, device=shifts.device)
        rows, columns = ((shifts * size).long()[:, :, None] + places).remainder(size).unbind(1)  # [N, S]
        return self.map[rows[:, None, :, None], columns[:, None, None, :]]


class CompactNetwork(nn.Module):
    """Standardised code → RGB [N, 3, S, S] in [−1, 1], S = 4 · 2^(number of widths).

    A code is [N, code_size], or with `places` = g a grid [N, code_size, g, g] (g divides 4): its mean sets
    the style of all blocks, each place also the part of the picture that it stands for. With `local`, so many
    features of each place also set the style of that part in the blocks at up to 16 pixels. `widths` are the
    channels at 4, 8, 16, … pixels; `rounds` the residual blocks at each (one where it is empty), `depths` the
    convolutions of each of them; `finish` the channels at S pixels, kept few because they cost most and carry
    only edges.

    With `subpixel` pictures are twice as large, and nothing but their colours is computed at that size: each
    place of the last features gives four pixels (Shi et al. 2016, arXiv 1609.05158). Four that come from one
    place differ by a regular grain, so they pass a small blur, as do the features of a half and of a quarter
    of the size, whose grain is the one that eyes see.

    With `noise`, which goes with `subpixel`, those of an eighth of the size are blurred too; from them on
    noise stands in for the grain, out of which the network would weave all its textures.

    `smooth` has neighbours blend: places pass into each other, and features are blurred after every doubling.
    `refined`, which goes with `noise`, adds a residual block at half of the pictures' size and lets each
    place say how much noise it has. Both are for codes' places and textures to leave no seams and no grain.
    """

    def __init__(
        self,
        code_size: int = 1280,
        widths: tuple[int, ...] = (384, 208, 96, 48),
        depths: tuple[int, ...] = (2, 2, 2, 1),
        style: int = 512,
        finish: int = 12,
        places: int = 0,
        subpixel: bool = False,
        noise: bool = False,
        rounds: tuple[int, ...] = (),
        local: int = 0,
        smooth: bool = False,
        refined: bool = False,
    ) -> None:
        super().__init__()
        rounds = rounds or (1,) * len(widths)
        if not len(widths) == len(depths) == len(rounds):
            raise ValueError(
                "widths, depths and rounds must have one entry a resolution, "
                f"got {len(widths)}, {len(depths)} and {len(rounds)}"
            )
        if min(rounds) < 1:
            raise ValueError(f"rounds must be at least 1 at each resolution, got {rounds}")
        if places not in (0, 1, 2, 4):
            raise ValueError(f"places must divide 4 (or be 0 for a code without places), got {places}")
        if local and not places:
            raise ValueError("local goes with places")
        if noise and not (subpixel and len(widths) > 2):
            raise ValueError("noise goes with subpixel and at least three widths")
        if refined and not noise:
            raise ValueError("refined goes with noise")
        self.first, self.subpixel = widths[0], subpixel
        self.image_size = 4 * 2 ** len(widths) * (2 if subpixel else 1)
        self.style = nn.Sequential(
            OrderedDict(
                linear=nn.Linear(code_size, style), norm=nn.BatchNorm1d(style), act=nn.LeakyReLU(SLOPE)
            )
        )
        self.start = nn.Linear(style, widths[0] * 16)
        self.place = nn.Conv2d(code_size, widths[0], 1, bias=False) if places else None
        self.local = _features_of_places(code_size, local) if local else None
        locals = [local if 4 * 2**i <= LARGEST_LOCAL else 0 for i in range(len(widths))]
        sizes = list(zip(widths, depths, locals, strict=True))
        self.blocks = nn.ModuleList(StyledResidual(w, style, d, at) for w, d, at in sizes)
        self.more = nn.ModuleList(
            nn.ModuleList(StyledResidual(w, style, d, at, silent=True) for _ in range(count - 1))
            for (w, d, at), count in zip(sizes, rounds, strict=True)
        )
        self.ups = nn.ModuleList(nn.Conv2d(a, 4 * b, 1) for a, b in pairwise(widths))
        self.last_norm = ConditionalNorm(widths[-1], style)
        self.last_up = nn.Conv2d(widths[-1], 4 * finish, 3, padding=1)
        self.to_rgb = nn.Conv2d(finish, 12 if subpixel else 3, 3, padding=1)
        self.first_blurred = 0 if smooth else len(self.ups) - subpixel - noise
        self.smooth = smooth
        noisy = list(enumerate([*widths, finish]))[-3:] if noise else []
        self.noises = nn.ModuleDict({str(i): StyledNoise(c, style, 4 * 2**i, refined) for i, c in noisy})
        self.refining = StyledResidual(finish, style, 1, silent=True) if refined else None
        if self.place is not None:
            nn.init.zeros_(self.place.weight)  # begins as a generator of codes without places
        for up in [*self.ups, self.last_up, *([self.to_rgb] if subpixel else [])]:
            assert isinstance(up, nn.Conv2d)
            assert up.bias is not None
            # The four pixels of a shuffle start equal: no grain at first.
            up.weight.data.copy_(up.weight.data[::4].repeat_interleave(4, dim=0))
            up.bias.data.zero_()

    def forward(self, code: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Codes → RGB [N, 3, S, S]. `shifts` [N, 2] of [0, 1) are of the noise, for training."""
        # Code [N, code_size] or [N, code_size, g, g]; the numbers are those of the shipped generator.
        return self.drawn(*self.entered(code), shifts=shifts)

    def entered(self, code: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """All that is drawn from: what the style is made of [N, 512], what each place of the code adds
        [N, 384, g, g], and what the styles of places are made of [N, local, g, g]. In evaluation all are
        linear in the code, but for a constant.
        """
        whole = code.flatten(1) if self.place is None else code.mean((2, 3))
        return (
            self.style[:2](whole),  # all but the activation
            None if self.place is None else self.place(code),
            None if self.local is None else self.local[:2](code),
        )

    def drawn(
        self,
        styled: Tensor,
        placed: Tensor | None = None,
        local: Tensor | None = None,
        shifts: Tensor | None = None,
    ) -> Tensor:
        """The picture of what a code has entered."""
        style = self.style[2](styled)
        x = self.start(style).view(-1, self.first, 4, 4)  # [N, 384, 4, 4]
        x = x.contiguous(memory_format=torch.channels_last)
        if placed is not None:
            x = x + self._on_four(placed)
        places = None
        if self.local is not None and local is not None:
            places = self._on_four(self.local[2](local))  # [N, local, 4, 4]
        for i, (block, more) in enumerate(zip(self.blocks, self.more, strict=True)):
            for residual in (block, *more):  # type: ignore[misc]
                x = residual(x, style, places)
            if i < len(self.ups):
                x = F.pixel_shuffle(self.ups[i](x), 2)  # [N, 208, 8, 8], [N, 96, 16, 16], [N, 48, 32, 32]
                if i >= self.first_blurred:
                    x = blurred(x)
                x = self._with_noise(i + 1, x, style, shifts)
        x = self.last_norm.activated(x, style)
        x = F.pixel_shuffle(self.last_up(x), 2)  # [N, 24, 64, 64]
        if self.smooth or self.subpixel:
            x = blurred(x)
        if not self.subpixel:
            return torch.tanh(self.to_rgb(F.leaky_relu(x, SLOPE)))  # [N, 3, S, S]
        x = self._with_noise(len(self.blocks), x, style, shifts)
        if self.refining is not None:
            x = self.refining(x, style)
        colours = self.to_rgb(F.leaky_relu(x, SLOPE))  # [N, 12, 64, 64]: four pixels a place
        return torch.tanh(blurred(F.pixel_shuffle(colours, 2).float()))  # [N, 3, 128, 128]

    def _on_four(self, places: Tensor) -> Tensor:
        """What places say [N, C, g, g] → [N, C, 4, 4]."""
        return F.interpolate(places, size=(4, 4), mode="bilinear" if self.smooth else "nearest")

    def _with_noise(self, stage: int, x: Tensor, style: Tensor, shifts: Tensor | None) -> Tensor:
        """`stage` counts the doublings of the size since 4 pixels."""
        name = str(stage)
        return self.noises[name](x, style, shifts) if name in self.noises else x


def _features_of_places(code_size: int, local: int) -> nn.Sequential:
    """Code [N, code_size, g, g] → [N, local, g, g]."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(code_size, local, 1, bias=False),
            norm=nn.BatchNorm2d(local),
            act=nn.LeakyReLU(SLOPE),
        )
    )


def blurred(x: Tensor) -> Tensor:
    """[N, C, h, w] by the kernel (1, 2, 1)/4 each way: what alternates from pixel to pixel is gone."""
    channels = x.shape[1]
    # (1, 2, 1)/4, made on the device: a copy from the host would have a GPU wait at every step.
    row = 0.5 - torch.arange(-1, 2, device=x.device, dtype=x.dtype).abs() / 4  # [3]
    kernel = torch.outer(row, row).expand(channels, 1, 3, 3)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")  # [N, C, h + 2, w + 2]
    padded = padded.contiguous(memory_format=torch.channels_last)
    return F.conv2d(padded, kernel, groups=channels)  # a fifth of two pools' time on a CPU
