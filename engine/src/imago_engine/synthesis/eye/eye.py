"""The eye: what it makes of pictures, and its file.

The file is one safetensors file with the tensors `mean` [C] and `axes` [128, C] (float16 or float32) and, as
metadata, the key `imago-eye` with JSON: {"id", "version", "network", "network_sha256", "layers",
"input_size"}. An embedding is (features - mean) @ axes.T scaled to length 1, where the features are the means
over all places of the layers' maps. Which pictures it was fitted on, and how, says the card beside it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from imago_engine.synthesis.eye.features import Features, squares
from imago_engine.synthesis.networks.load import load_network
from imago_engine.synthesis.networks.modes import own_modes
from imago_engine.weights import DIMENSIONS, shipped_eye

KEY = "imago-eye"
AT_ONCE = 64
"""Pictures that are looked at together, at most."""
Pixels = NDArray[np.uint8]


class EyeError(ValueError):
    """A file is no eye, or the network that it needs is another one; the message says which."""


@dataclass(frozen=True)
class EyeInfo:
    """What an eye is, apart from its numbers."""

    id: str
    version: int
    network: str
    """Id of the network whose features it reads."""
    network_sha256: str
    layers: tuple[str, ...]
    input_size: int

    @property
    def name(self) -> str:
        """What its embeddings are filed under."""
        return f"{self.id}-{self.version}"


class Eye:
    """Pictures, uint8 RGB [H, W, 3] of any sizes → embeddings float32 [N, 128] of length 1."""

    def __init__(self, info: EyeInfo, features: Features, mean: Tensor, axes: Tensor) -> None:
        self.info = info
        self._features, self._mean, self._axes = features, mean, axes

    @property
    def name(self) -> str:
        """What its embeddings are filed under: those of another name are never compared with them."""
        return self.info.name

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        found = [self._look(pictures[at : at + AT_ONCE]) for at in range(0, len(pictures), AT_ONCE)]
        return np.concatenate(found) if found else np.zeros((0, DIMENSIONS), np.float32)

    @torch.inference_mode()
    def _look(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        tensors = [torch.from_numpy(np.array(picture)) for picture in pictures]
        seen = self._features(squares(tensors, self.info.input_size)).cpu()
        turned = (seen - self._mean) @ self._axes.T
        # A picture just like the mean points nowhere: any direction is as good, and none is not stored.
        turned[:, 0] += (turned.norm(dim=1) == 0).float()
        embeddings: NDArray[np.float32] = torch.nn.functional.normalize(turned, dim=1).numpy()
        return embeddings


def load_eye(path: Path | None = None, device: torch.device | str = "cpu") -> Eye:
    """An eye by its file, by default the one that comes with the engine, on `device`. Raises `EyeError`."""
    path = path or shipped_eye()
    info, mean, axes = read_eye(path)
    with own_modes():
        network = load_network(info.network, device)
        if network.weights_sha256 != info.network_sha256:
            raise EyeError(
                f"{path}: expected {info.network} with the weights {info.network_sha256}, "
                f"found {network.weights_sha256}"
            )
        features = Features(network, info.layers, info.input_size)
        return Eye(info, features, mean.float(), axes.float())


def read_eye(path: Path) -> tuple[EyeInfo, Tensor, Tensor]:
    """What an eye's file holds: its description, `mean` [C] and `axes` [128, C]. Raises `EyeError`."""
    try:
        with safe_open(path, "pt") as handle:
            described: dict[str, Any] = json.loads((handle.metadata() or {})[KEY])
            described["layers"] = tuple(described["layers"])
            info = EyeInfo(**described)
            mean, axes = handle.get_tensor("mean"), handle.get_tensor("axes")
    except Exception as error:  # of safetensors' own kind, or Python's
        raise EyeError(f"{path} is not the file of an eye: {error!r}") from error
    if mean.ndim != 1 or axes.shape != (DIMENSIONS, len(mean)):
        expected = f"mean [C] and axes [{DIMENSIONS}, C]"
        raise EyeError(f"{path}: expected {expected}, got {list(mean.shape)} and {list(axes.shape)}")
    return info, mean, axes


def save_eye(path: Path, info: EyeInfo, mean: Tensor, axes: Tensor) -> None:
    """Write an eye's file atomically; axes are stored as float16. The same eye gives the same bytes."""
    unfinished = path.with_name(path.name + ".unfinished")
    tensors = {"mean": mean.float().contiguous(), "axes": axes.half().contiguous()}
    save_file(tensors, unfinished, {KEY: json.dumps(asdict(info), sort_keys=True)})
    unfinished.chmod(0o644)
    os.replace(unfinished, path)
