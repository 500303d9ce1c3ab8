"""A user's own weights: a safetensors file for an architecture of torchvision or timm.

The file's metadata may carry two JSON values: `preprocessing` (`{"size", "mean", "std", "bgr"}`, each
optional, mean and std in units of [0, 1]) and `labels` (a list with one string a class). Without them the
architecture's default preprocessing holds and the classes have no names. What is stated of the network by
hand goes before the metadata.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from imago_engine.networks import NetworkReference, SourceName
from imago_engine.synthesis.sources import timm_hub, torchvision_hub
from imago_engine.synthesis.sources.metadata import labels_of, preprocessing_of
from imago_engine.synthesis.sources.network_source import LoadedNetwork, NetworkError
from imago_engine.synthesis.sources.tensors import load_strictly, read


class WeightsFile:
    """Networks of torchvision or timm with weights of one's own, in a safetensors file."""

    name: SourceName = "file"

    def ids(self) -> Iterable[str]:
        return ()  # known to whoever holds the file

    def knows(self, reference: NetworkReference) -> bool:
        return False

    def load(self, reference: NetworkReference) -> LoadedNetwork:
        """The file says what the reference does not; what it says of the rest is not read."""
        library, _, architecture = reference.architecture.partition(":")
        if library not in ("torchvision", "timm") or not architecture:
            raise NetworkError(
                f"architecture {reference.architecture!r}: expected torchvision:NAME or timm:NAME, "
                "such as torchvision:resnet18"
            )
        if reference.weights is None:
            raise NetworkError("weights: expected the path of a safetensors file, got none")
        hub = torchvision_hub if library == "torchvision" else timm_hub
        default = hub.default_preprocessing(architecture)
        path = Path(reference.weights)
        state, metadata = read(path)
        classes = reference.classes or _classes(
            state, hub.output_tensor_name(architecture, state), architecture
        )
        preprocessing = preprocessing_of(metadata, default, reference.stated)
        module = hub.build(architecture, state, classes, preprocessing.size)
        load_strictly(module, state, reference.architecture)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        labels = labels_of(metadata, classes) if reference.stated.labels is None else ()
        return LoadedNetwork(module, preprocessing, labels, weights_sha256=digest)


def _classes(state: Mapping[str, Tensor], output: str, architecture: str) -> int:
    if output not in state or not state[output].ndim:
        raise NetworkError(
            f"the weights do not fit {architecture}: its classifier {output} is missing; the file has "
            f"{', '.join(list(state)[:3]) or 'no tensors'}{', …' if len(state) > 3 else ''}"
        )
    return state[output].shape[0]
