"""Networks and photographs that no registry has: judges and test subjects of the benchmarks, never of the
product.
"""

import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.photographs import photographs
from worker.synthesis.networks import Network, Preprocessing, state_sha256

DEFAULT = Path(__file__).parents[2].parent / "shared" / "assets"
NETWORKS = ("mobilenet_v2", "squeezenet1_1", "tiny_darknet", "places365")
PHOTOGRAPHS = "imagen_det200_1000x256.npz"
PHOTOGRAPH_SIZE = 256


@dataclass(frozen=True)
class Photographs:
    """`images` uint8 RGB [N, 3, 256, 256]; `classes` [N], the ImageNet class of each or −1 where it has "
    "none."""

    images: Tensor
    classes: Tensor

    def every(self, stride: int) -> "Photographs":
        return Photographs(self.images[::stride], self.classes[::stride])


class WithLogits(nn.Module):
    """A classifier whose logits are the output of a module, `logits`, so that the engine can address them."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.logits = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.body(x))
        return logits


class Assets:
    """The folder with `nets.py`, `nets/` and `images/`; ends the program with what to do where there is "
    "none."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get("IMAGO_ASSETS", DEFAULT))
        if not (self.folder / "nets.py").is_file():
            raise SystemExit(
                f"{self.folder} does not hold the judges' networks and the photographs (nets.py, nets/, "
                "images/); "
                "give their folder with --assets or IMAGO_ASSETS"
            )

    def network(self, name: str) -> Network:
        """One of `NETWORKS`, frozen, with its preprocessing and, for ImageNet, its labels."""
        if name not in NETWORKS:
            raise SystemExit(f"network {name!r}: expected one of {', '.join(NETWORKS)}")
        with torch.random.fork_rng():
            module, prepare = self._loaders.load(name)
        module = WithLogits(module).eval().requires_grad_(False)
        # There: input = rgb in the network's channel order · scale − mean. Here: (rgb − mean) / std, then the
        # order.
        mean = tuple(value / prepare.scale for value in prepare.mean)
        red, green, blue = reversed(mean) if prepare.bgr else mean
        preprocessing = Preprocessing(
            prepare.size, (red, green, blue), (1 / prepare.scale,) * 3, bgr=prepare.bgr
        )
        labels = () if name == "places365" else tuple(words for _, words in self._synsets)
        module = module.to(memory_format=torch.channels_last)
        return Network(name, module, preprocessing, labels, state_sha256(module))

    def photographs(self) -> Photographs:
        """1000 photographs of 200 synsets that no shipped generator was trained on."""
        packed = self.folder / "images" / PHOTOGRAPHS
        images = photographs(packed, PHOTOGRAPH_SIZE)
        synsets = {synset: index for index, (synset, _) in enumerate(self._synsets)}
        archive = np.load(packed)
        own = [synsets.get(str(synset), -1) for synset in archive["classes"]]
        return Photographs(images, torch.tensor([own[label] for label in archive["labels"]]))

    @cached_property
    def _synsets(self) -> list[tuple[str, str]]:
        lines = (self.folder / "nets" / "imagenet_synset_words.txt").read_text("utf-8").splitlines()
        return [(synset, words) for synset, _, words in (line.partition(" ") for line in lines)]

    @cached_property
    def _loaders(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("imago_assets_nets", self.folder / "nets.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
