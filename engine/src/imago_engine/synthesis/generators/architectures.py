"""Generators by the name of their architecture, frozen together with what is known of their codes."""

import inspect
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from imago_engine.generators import GeneratorInfo, Pixels
from imago_engine.synthesis.generators.compact import CompactNetwork
from imago_engine.synthesis.generators.deepsim_networks import DeepsimPool5, DeepsimVector
from imago_engine.synthesis.generators.prior import CodePrior, CodeSamples

CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
STANDARD_FLOOR = 0.05
"""Added to a code neuron's σ before dividing by it: neurons that hardly ever fire must not dominate a
standardised code.
"""


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

    DeePSiM's output is linear: its RGB may leave [0, 1] and is not clamped, so that gradients survive.
    """

    code_mean: Tensor
    """[*code_shape]: each code neuron's mean over real pictures."""
    code_std: Tensor
    """[*code_shape]: its standard deviation."""
    code_lower: Tensor
    """[*code_shape]: the least value that it can take, 0 behind a ReLU."""
    code_axes: Tensor | None
    """[R, *code_shape], `prior.axes`; there are prototypes if and only if there are axes."""
    code_prototypes: Tensor | None
    """[K, R], `prior.prototypes`."""
    code_samples: Tensor | None
    """int8 [S, R], `prior.samples.values`; a file may have a prior and no samples."""
    code_sample_scale: Tensor | None
    """[R], `prior.samples.scale`."""
    caffe_mean: Tensor
    """[3, 1, 1], BGR."""

    def __init__(
        self,
        info: GeneratorInfo,
        network: nn.Module,
        code_mean: Tensor,
        code_std: Tensor,
        code_lower: Tensor,
        code_axes: Tensor | None = None,
        code_prototypes: Tensor | None = None,
        code_samples: Tensor | None = None,
        code_sample_scale: Tensor | None = None,
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
        self.register_buffer("code_samples", code_samples)
        self.register_buffer("code_sample_scale", code_sample_scale)
        _ = self.prior  # checks shapes
        caffe_mean = torch.tensor(CAFFE_MEAN_BGR, dtype=torch.float32).view(3, 1, 1)
        self.register_buffer("caffe_mean", caffe_mean, persistent=False)
        self.info = info
        self.network = network
        self.eval().requires_grad_(False)

    @property
    def prior(self) -> CodePrior | None:
        """What real codes are like, where the generator knows it."""
        if self.code_axes is None or self.code_prototypes is None:
            return None
        samples = None
        if self.code_samples is not None and self.code_sample_scale is not None:
            samples = CodeSamples(self.code_samples, self.code_sample_scale)
        return CodePrior(self.code_mean, self.code_axes, self.code_prototypes, samples)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that codes are fed in."""
        weights = chain(self.network.parameters(), self.network.buffers())
        return next((w.dtype for w in weights if w.is_floating_point()), self.code_mean.dtype)

    def forward(self, code: Tensor) -> Tensor:
        """Codes [N, *code_shape] → RGB [N, 3, S, S]."""
        if tuple(code.shape[1:]) != self.info.code_shape:
            raise ValueError(
                f"expected a code of shape [N, {', '.join(map(str, self.info.code_shape))}], "
                f"got {list(code.shape)}"
            )
        pixels: Tensor = self.network(self.standardised(code).to(self.dtype))  # [N, 3, S, S]
        return self.rgb(pixels)

    def standardised(self, code: Tensor) -> Tensor:
        """Codes as the network takes them."""
        if self.info.architecture == "compact":
            return (code - self.code_mean) / (self.code_std + STANDARD_FLOOR)
        return code

    def rgb(self, pixels: Tensor) -> Tensor:
        """RGB in [0, 1] of what the network gives, which is as `info.pixels` says."""
        if self.info.pixels == "bgr_mean":
            return (pixels + self.caffe_mean).flip(1) / 255
        return (pixels + 1) / 2

    def train(self, mode: bool = True) -> "Generator":
        """Stays in evaluation mode: a frozen generator in training mode would change its batch norms and mix
        a batch's items.
        """
        return super().train(False)
