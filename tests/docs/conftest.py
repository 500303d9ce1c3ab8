"""A whole imago for what the documentation promises."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision

from infra.local.stack import Stack
from tests import small_world


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """What `make up` starts, with a generator whose pictures take milliseconds."""
    with tempfile.TemporaryDirectory(prefix="imago-docs-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        folder.chmod(0o711)
        patch.setenv("IMAGO_GENERATOR_PATH", str(small_world.write_generator(folder)))
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        _put_downloaded_weights(folder / "torch")
        with Stack(folder / "home") as stack:
            yield stack


def _put_downloaded_weights(hub: Path) -> None:
    """As if the network that the pages register had been downloaded before: its file, with random weights."""
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    file = hub / "hub" / "checkpoints" / Path(weights.url).name
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), file)
