"""Networks that turn a code into a picture: the published DeePSiM architectures and a compact one for small
machines.

DeePSiM: Dosovitskiy & Brox 2016, "Generating Images with Perceptual Similarity Metrics based on Deep
Networks"; its weights' key names and layouts are kept, so that released weights load as they are. The compact
network is a residual generator whose norms follow the code, about 0.4 GFLOP a 64-pixel picture.
"""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.synthesis.code_prior import CodePrior

Pixels = Literal["rgb_unit_tanh", "bgr_mean"]
CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
STANDARD_FLOOR = 0.05
"""Added to a code neuron's σ before dividing by it: neurons that hardly ever fire must not dominate a
standardised code.
"""


@dataclass(frozen=True)
class GeneratorInfo:
    """What a generator is, apart from its weights.

    `pixels` says what the network puts out: "rgb_unit_tanh" is RGB in [−1, 1]; "bgr_mean" is BGR in [0, 255]
    minus the Caffe mean. `encoder`, `encoder_layer` and `encoder_sha256` name the network and layer whose
    codes it inverts. `recommended` holds recipe parameters that suit it; `training` is free text and figures
    about how it was made. `prior` counts what the file knows of real codes, {"directions", "prototypes"}, and
    is empty where it knows nothing; `save_generator` writes it.
    """

    architecture: str
    arguments: dict[str, Any]
    code_shape: tuple[int, ...]
    image_size: int
    pixels: Pixels
    encoder: str
    encoder_layer: str
    encoder_sha256: str
    recommended: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    prior: dict[str, int] = field(default_factory=dict)


class ConditionalNorm(nn.Module):
    """Batch normalisation whose scale and shift follow the style vector [N, style]."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.film = nn.Linear(style, 2 * channels)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.film(style)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), scale + 1)


class StyledResidual(nn.Module):
    """x + convolutions of x, each after a conditional norm and leaky ReLU; shape is kept."""

    def __init__(self, channels: int, style: int, depth: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(channels, style) for _ in range(depth))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.leaky_relu(norm(y, style), 0.2))
        return x + y


class CompactNetwork(nn.Module):
    """Standardised code [N, code_size] → RGB [N, 3, S, S] in [−1, 1], S = 4 · 2^(number of widths).

    `widths` are the channels at 4, 8, 16, … pixels; `depths` the convolutions of each residual block;
    `finish` the channels at full resolution, kept few because they cost most and carry only edges.
    """

    def __init__(
        self,
        code_size: int = 1280,
        widths: tuple[int, ...] = (384, 208, 96, 48),
        depths: tuple[int, ...] = (2, 2, 2, 1),
        style: int = 512,
        finish: int = 12,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(
                f"widths and depths must have one entry a resolution, got {len(widths)} and {len(depths)}"
            )
        self.first = widths[0]
        self.image_size = 4 * 2 ** len(widths)
        self.style = nn.Sequential(
            OrderedDict(linear=nn.Linear(code_size, style), norm=nn.BatchNorm1d(style), act=nn.LeakyReLU(0.2))
        )
        self.start = nn.Linear(style, widths[0] * 16)
        self.blocks = nn.ModuleList(StyledResidual(w, style, d) for w, d in zip(widths, depths, strict=True))
        self.ups = nn.ModuleList(nn.Conv2d(a, 4 * b, 1) for a, b in pairwise(widths))
        self.last_norm = ConditionalNorm(widths[-1], style)
        self.last_up = nn.Conv2d(widths[-1], 4 * finish, 3, padding=1)
        self.to_rgb = nn.Conv2d(finish, 3, 3, padding=1)
        for up in [
            *self.ups,
            self.last_up,
        ]:  # the four pixels of a shuffle start equal: no checkerboard at first
            assert isinstance(up, nn.Conv2d)
            assert up.bias is not None
            up.weight.data.copy_(up.weight.data[::4].repeat_interleave(4, dim=0))
            up.bias.data.zero_()

    def forward(self, code: Tensor) -> Tensor:
        style = self.style(code.flatten(1))
        x = self.start(style).view(-1, self.first, 4, 4).contiguous(memory_format=torch.channels_last)
        for i, block in enumerate(self.blocks):
            x = block(x, style)
            if i < len(self.ups):
                x = F.pixel_shuffle(self.ups[i](x), 2)
        x = F.leaky_relu(self.last_norm(x, style), 0.2)
        x = F.leaky_relu(F.pixel_shuffle(self.last_up(x), 2), 0.2)
        return torch.tanh(self.to_rgb(x))


class DeepsimTrunk(nn.Module):
    """The part that all DeePSiM generators share: a 4×4 tensor [N, C, 4, 4] → BGR minus mean [N, 3, 256,
    256], linear output.
    """

    def __init__(self, first_channels: int) -> None:
        super().__init__()
        self.deconv5, self.conv5_1 = _up(first_channels, 256), _same(256, 512)
        self.deconv4, self.conv4_1 = _up(512, 256), _same(256, 256)
        self.deconv3, self.conv3_1 = _up(256, 128), _same(128, 128)
        self.deconv2, self.deconv1, self.deconv0 = _up(128, 64), _up(64, 32), _up(32, 3)

    def grow(self, x: Tensor) -> Tensor:
        for layer in (
            self.deconv5, self.conv5_1, self.deconv4, self.conv4_1, self.deconv3, self.conv3_1,
            self.deconv2, self.deconv1,
        ):  # fmt: skip
            x = F.leaky_relu(layer(x), 0.3)
        pixels: Tensor = self.deconv0(x)
        return pixels


class DeepsimVector(DeepsimTrunk):
    """Inverts a fully connected layer: code [N, code_size] → [N, 3, 256, 256]. fc6 and fc7 have 4096 neurons,
    fc8 has 1000. A code of any other shape is taken as one vector.
    """

    image_size = 256

    def __init__(self, code_size: int = 4096) -> None:
        super().__init__(first_channels=256)
        self.defc7, self.defc6, self.defc5 = (
            nn.Linear(code_size, 4096),
            nn.Linear(4096, 4096),
            nn.Linear(4096, 4096),
        )
        initialise_deepsim(self)

    def forward(self, code: Tensor) -> Tensor:
        x = code.flatten(1)
        for layer in (self.defc7, self.defc6, self.defc5):
            x = F.leaky_relu(layer(x), 0.3)
        return self.grow(x.view(-1, 256, 4, 4))


class DeepsimPool5(DeepsimTrunk):
    """Inverts the last pooling layer: code [N, 256, 6, 6] → [N, 3, 256, 256]."""

    image_size = 256

    def __init__(self) -> None:
        super().__init__(first_channels=512)
        self.Rconv6 = nn.Conv2d(256, 512, 3, padding=1)
        self.Rconv7 = nn.Conv2d(512, 512, 3, padding=1)
        self.Rconv8 = nn.Conv2d(512, 512, 3)  # 6×6 → 4×4
        initialise_deepsim(self)

    def forward(self, code: Tensor) -> Tensor:
        x = code
        for layer in (self.Rconv6, self.Rconv7, self.Rconv8):
            x = F.leaky_relu(layer(x), 0.3)
        return self.grow(x)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _same(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=1, padding=1)


def initialise_deepsim(network: nn.Module) -> None:
    """Normal weights with std = k·√(2 / fan_in): k is 1 for linear layers, 1.8 at stride 2 and 0.9 at stride
    1; biases are 0.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            gain, fan_in = 1.0, layer.in_features
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            gain = 1.8 if layer.stride[0] == 2 else 0.9
            fan_in = layer.in_channels * math.prod(layer.kernel_size)
        else:
            continue
        nn.init.normal_(layer.weight, std=gain * math.sqrt(2 / fan_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


ARCHITECTURES: dict[str, tuple[Callable[..., nn.Module], Pixels]] = {
    "compact": (CompactNetwork, "rgb_unit_tanh"),
    "deepsim-fc6": (DeepsimVector, "bgr_mean"),
    "deepsim-fc7": (DeepsimVector, "bgr_mean"),
    "deepsim-fc8": (lambda code_size=1000: DeepsimVector(code_size), "bgr_mean"),
    "deepsim-pool5": (DeepsimPool5, "bgr_mean"),
}


def build_network(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A freshly initialised network, code → pixels in its own convention. Raises ValueError for an unknown
    name or argument.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"unknown generator architecture {architecture!r}; expected one of {', '.join(ARCHITECTURES)}"
        )
    build, _ = ARCHITECTURES[architecture]
    accepted = inspect.signature(build).parameters
    unknown = arguments.keys() - accepted.keys()
    if unknown:
        raise ValueError(f"{architecture} takes the arguments {sorted(accepted)}, not {sorted(unknown)}")
    return build(**arguments)


class Generator(nn.Module):
    """A frozen generator: code [N, *code_shape] → RGB [N, 3, S, S] in [0, 1], with the statistics that bound
    a code.

    `code_mean` and `code_std` are each code neuron's mean and standard deviation over real pictures,
    `code_lower` the least value it can take (0 behind a ReLU); `code_axes` and `code_prototypes` are its
    `prior`, both or none. DeePSiM's output is linear: its RGB may leave [0, 1] and is not clamped, so that
    gradients survive.
    """

    code_mean: Tensor
    code_std: Tensor
    code_lower: Tensor
    code_axes: Tensor | None
    code_prototypes: Tensor | None
    caffe_mean: Tensor

    def __init__(
        self,
        info: GeneratorInfo,
        network: nn.Module,
        code_mean: Tensor,
        code_std: Tensor,
        code_lower: Tensor,
        code_axes: Tensor | None = None,
        code_prototypes: Tensor | None = None,
    ) -> None:
        super().__init__()
        for name, tensor in (("code_mean", code_mean), ("code_std", code_std), ("code_lower", code_lower)):
            if tuple(tensor.shape) != info.code_shape:
                raise ValueError(
                    f"{name} must have the code's shape {info.code_shape}, got {tuple(tensor.shape)}"
                )
            self.register_buffer(name, tensor)
        # None is a buffer too: one that moves nowhere and is not saved.
        self.register_buffer("code_axes", code_axes)
        self.register_buffer("code_prototypes", code_prototypes)
        _ = self.prior  # checks shapes
        self.register_buffer("caffe_mean", torch.tensor(CAFFE_MEAN_BGR).view(3, 1, 1), persistent=False)
        self.info = info
        self.network = network
        self.eval().requires_grad_(False)

    @property
    def prior(self) -> CodePrior | None:
        """What real codes are like, where the generator knows it."""
        if self.code_axes is None or self.code_prototypes is None:
            return None
        return CodePrior(self.code_mean, self.code_axes, self.code_prototypes)

    def forward(self, code: Tensor) -> Tensor:
        if tuple(code.shape[1:]) != self.info.code_shape:
            raise ValueError(
                f"expected a code of shape [N, {', '.join(map(str, self.info.code_shape))}], "
                f"got {list(code.shape)}"
            )
        if self.info.architecture == "compact":
            code = (code - self.code_mean) / (self.code_std + STANDARD_FLOOR)
        pixels: Tensor = self.network(code)
        if self.info.pixels == "bgr_mean":
            return (pixels + self.caffe_mean).flip(1) / 255
        return (pixels + 1) / 2

    def train(self, mode: bool = True) -> "Generator":
        """Stays in evaluation mode: a frozen generator in training mode would change its batch norms and mix
        a batch's items.
        """
        return super().train(False)
