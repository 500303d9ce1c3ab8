"""Small networks and generators that show what the engine does to them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from imago_engine.generators import GeneratorInfo
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.networks.load import Network, Preprocessing, load_network

PLAIN = Preprocessing(size=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lite0() -> Network:
    return load_network("efficientnet_lite0.imagenet")


@pytest.fixture(scope="session")
def wrap() -> Callable[..., Network]:
    """Makes a network of a module."""

    def make(module: nn.Module, preprocessing: Preprocessing = PLAIN) -> Network:
        return Network("hand.made", module.eval().requires_grad_(False), preprocessing, (), "0" * 64)

    return make


class Canvas(nn.Module):
    """A generator whose code is the picture itself, [N, 3, S, S] in [−1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, code: Tensor) -> Tensor:
        return code * self.gain


def info(architecture: str, code_shape: tuple[int, ...], image_size: int) -> GeneratorInfo:
    return GeneratorInfo(
        architecture=architecture,
        arguments={},
        code_shape=code_shape,
        image_size=image_size,
        pixels="rgb_unit_tanh",
        encoder="efficientnet_lite0.imagenet",
        encoder_layer="global_pool",
        encoder_sha256="0" * 64,
    )


@pytest.fixture(scope="session")
def canvas() -> Generator:
    """Code = picture, 16×16; μ = 0, σ = 0.25, lower bound −1."""
    shape = (3, 16, 16)
    return Generator(
        info("canvas", shape, 16),
        Canvas(),
        torch.zeros(shape),
        torch.full(shape, 0.25),
        torch.full(shape, -1.0),
    )


@pytest.fixture(scope="session")
def compact() -> Generator:
    """A small compact generator with random weights: 24 code neurons → 32×32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(
            "compact", {"code_size": 24, "widths": (16, 16, 8), "depths": (1, 1, 1), "style": 32, "finish": 8}
        )
    # Fresh weights give grey for any code; these give contrast that follows the code.
    for name, weight in network.named_parameters():
        if name.endswith("film.weight"):
            weight.data *= 10
        elif name == "to_rgb.weight":
            weight.data *= 4
    size = (24,)
    return Generator(
        info("compact", size, 32), network, torch.full(size, 0.4), torch.full(size, 0.4), torch.zeros(size)
    )


@pytest.fixture(scope="session")
def knowing(compact: Generator) -> Generator:
    """The compact generator with a prior: 6 directions of unequal length and 20 prototypes."""
    random = torch.Generator().manual_seed(5)
    directions, _ = torch.linalg.qr(torch.randn(24, 6, generator=random))
    return Generator(
        compact.info,
        compact.network,
        compact.code_mean,
        compact.code_std,
        compact.code_lower,
        directions.T * torch.linspace(2.0, 0.5, 6)[:, None],
        torch.randn(20, 6, generator=random),
    )


@pytest.fixture(scope="session")
def hook_count() -> Callable[[nn.Module], int]:
    """Counts the hooks that are registered on a module and all its parts."""

    def count(module: nn.Module) -> int:
        return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())

    return count
