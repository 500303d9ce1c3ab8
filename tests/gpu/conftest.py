"""All tests of this folder need a CUDA device. Without one they are skipped, and say so."""

from pathlib import Path

import pytest
import torch

from imago_engine.synthesis import Generator, Network, load_generator, load_network
from imago_engine.weights import shipped_generator

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                why = f"needs a CUDA device; torch {torch.__version__} finds none here"
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda")


@pytest.fixture
def lite0() -> Network:
    return load_network("efficientnet_lite0.imagenet")


@pytest.fixture
def shipped() -> Generator:
    return load_generator(shipped_generator())
