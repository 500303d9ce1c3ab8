"""Networks and photographs that no registry has: judges and test subjects of the benchmarks, never of the
product.
"""

import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.photographs import photographs
from imago_engine.synthesis.networks.load import Network, NetworkError, Preprocessing, load_network
from imago_engine.synthesis.networks.state_hash import state_sha256

DEFAULT = Path(__file__).parents[2].parent / "shared" / "assets"
NETWORKS = ("mobilenet_v2", "squeezenet1_1", "tiny_darknet", "places365")
PHOTOGRAPHS = "imagen_det200_1000x256.npz"
PHOTOGRAPH_SIZE = 256


@dataclass(frozen=True)
class Photographs:
    """Pictures of things, a few a synset.

    `images` uint8 RGB [N, 3, 256, 256]; `synsets` [N], which of the set's synsets each shows; `classes` [N],
    its ImageNet class, −1 where it has none.
    """

    images: Tensor
    synsets: Tensor
    classes: Tensor

    def every(self, count: int) -> "Photographs":
        """At most `count` of them, evenly spread."""
        stride = max(1, -(-len(self.images) // count))
        return Photographs(*(part[::stride] for part in (self.images, self.synsets, self.classes)))

    def of_every(self, nth: int) -> "Photographs":
        """Those of every nth synset."""
        kept = self.synsets % nth == 0
        return Photographs(self.images[kept], self.synsets[kept], self.classes[kept])


def named_network(name: str, folder: Path | None = None) -> Network:
    """One of `NETWORKS`, in the assets below `folder`, or one of the catalog by its id; ends the program
    where there is none.
    """
    if name in NETWORKS:
        return Assets(folder).network(name)
    try:
        return load_network(name)
    except NetworkError as error:
        raise SystemExit(f"{error}; or one of {', '.join(NETWORKS)}") from error


class WithLogits(nn.Module):
    """A classifier as a module of its own, `logits`, whose output the engine can then address."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.logits = classifier

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logits(x)
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
        own = torch.tensor([synsets.get(str(synset), -1) for synset in archive["classes"]])
        labels = torch.from_numpy(archive["labels"].astype(np.int64))
        return Photographs(images, labels, own[labels])

    def classes_in(self, packed: Iterable[str]) -> frozenset[int]:
        """The ImageNet classes that these packed image sets name by synset; sets that are not here have "
        "none."""
        found = set()
        for name in packed:
            path = self.folder / "images" / name
            if path.is_file():
                named = {str(synset) for synset in np.load(path)["classes"]}
                found |= {index for index, (synset, _) in enumerate(self._synsets) if synset in named}
        return frozenset(found)

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
