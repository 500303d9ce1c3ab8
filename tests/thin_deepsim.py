"""A training of preset deepsim with thin networks on drawn codes, in one process or several:

python -m torch.distributed.run --standalone --nproc-per-node 2 -m -- tests.thin_deepsim FOLDER STEPS
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from imago_engine.synthesis.generators.architectures import ARCHITECTURES
from imago_engine.synthesis.generators.deepsim_networks import DeepsimPool5, initialise_deepsim
from imago_engine.synthesis.networks.load import Network, Preprocessing
from imago_engine.training.data.preparation import Prepared, PreparedIndex
from imago_engine.training.distributed.processes import ALONE, Processes, joined
from imago_engine.training.recipes import Context
from imago_engine.training.recipes.deepsim import recipe as deepsim_recipe
from imago_engine.training.recipes.deepsim.comparator import Comparator
from imago_engine.training.recipes.deepsim.discriminator import DeepsimDiscriminator
from imago_engine.training.recipes.deepsim.recipe import DeepsimRecipe
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.run.loading import load_feature_network
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training
from imago_engine.trainings import DeepsimSettings

SCHEDULE = Schedule(pictures=64_000_000)
SMALL = DeepsimSettings(batch=2, feature_size=64, comparator="toy", comparator_layer="pool5")


class _ToyNetwork(nn.Module):
    """Gives codes of pool5's shape: [N, 256, 6, 6], and features with places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Conv2d(3, 16, 5, stride=4)
        self.pool5 = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Conv2d(16, 256, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool5(torch.relu(self.features(x)))
        return pooled.mean((2, 3))


def toy_comparator() -> Comparator:
    module = _ToyNetwork().eval().requires_grad_(False)
    scale = (1 / 255,) * 3
    network = Network("toy", module, Preprocessing(64, (0.4, 0.46, 0.48), scale), (), "0" * 64)
    return Comparator(network, "pool5")


def toy_pictures() -> Prepared:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
    images = coarse.repeat(32, axis=1).repeat(32, axis=2)
    codes = np.abs(random.normal(size=(16, 256, 6, 6))).astype(np.float32)
    index = PreparedIndex(
        train=14, held_out=2, corrupt=0, image_size=256, code_shape=(256, 6, 6), encoder="toy",
        encoder_layer="pool5", encoder_sha256="0" * 64, encoder_input_size=64, sources=(),
    )  # fmt: skip
    return Prepared(index, images, codes)


def new_training(
    pictures: Prepared,
    comparator: Comparator,
    options: DeepsimSettings = SMALL,
    processes: Processes = ALONE,
) -> Training:
    context = Context(
        pictures.index, statistics_of(pictures.codes), load_feature_network(), processes=processes
    )
    return Training(pictures, DeepsimRecipe(options, context, comparator), SCHEDULE)


class _ThinPool5(DeepsimPool5):
    """The same layers with an eighth of the channels between code and pixels."""

    def __init__(self) -> None:
        with torch.device("meta"):
            super().__init__()
        for name, layer in list(self.named_children()):
            assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
            inputs = layer.in_channels // (1 if name == "Rconv6" else 8)
            outputs = layer.out_channels // (1 if name == "deconv0" else 8)
            size, stride, padding = layer.kernel_size, layer.stride, layer.padding
            setattr(self, name, type(layer)(inputs, outputs, size, stride, padding))  # type: ignore[arg-type]
        initialise_deepsim(self)


class _ThinDiscriminator(DeepsimDiscriminator):
    def __init__(self, code_size: int) -> None:
        super().__init__(code_size=1)
        self.code = nn.ModuleList([nn.Linear(code_size, 32), nn.Linear(32, 512)])


@contextmanager
def thin() -> Iterator[None]:
    """For what holds of networks of any width: a step of the published ones takes most of a second."""
    with (
        patch.dict(ARCHITECTURES, {"deepsim-pool5": (_ThinPool5, "bgr_mean")}),
        patch.object(deepsim_recipe, "DeepsimDiscriminator", _ThinDiscriminator),
    ):
        yield


def train(folder: Path, steps: int) -> dict[int, dict[str, float]]:
    """Until so many steps, from the checkpoint in `folder` if there is one, which is replaced.

    Returns the losses of each step, of the whole batch.
    """
    checkpoint, found = folder / "checkpoint.safetensors", {}
    with thin(), joined() as processes:
        training = new_training(toy_pictures(), toy_comparator(), processes=processes)
        if checkpoint.exists():
            training.restore(checkpoint)
        while training.step_number < steps:
            losses = training.step(now=0.0)
            means = processes.mean(torch.stack(list(losses.values()))).tolist()
            found[training.step_number] = dict(zip(losses, means, strict=True))
        processes.wait()
        if processes.leads:
            training.save(checkpoint)
            (folder / "losses.json").write_text(json.dumps(found))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), int(sys.argv[2]))
