"""Any classification network of `torchvision.models` with published weights."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torchvision.models
from torch import Tensor, nn

from imago_engine.networks import NetworkReference, SourceName
from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.sources.downloads import check_downloadable, download_failed
from imago_engine.synthesis.sources.network_source import LoadedNetwork, NetworkError, Preprocessing

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRANSFORMED = ("googlenet", "inception_v3")
"""Their published weights were converted from TensorFlow, whose inputs are in [-1, 1]: the module turns the
input that torchvision's transforms give into that."""
_OTHER_KINDS = ("detection", "segmentation", "video", "optical_flow", "quantization")
_HEAD = re.compile(r"(fc|head|heads\.head|classifier(\.\d+)?)\.weight")


class Torchvision:
    """Networks of torchvision, with the weights that it publishes."""

    name: SourceName = "torchvision"

    def ids(self) -> Iterable[str]:
        """Architecture and name of all published weights."""
        return [f"{name}.{tag}" for name in architectures() for tag in _weights_by_tag(name)]

    def knows(self, reference: NetworkReference) -> bool:
        architecture = reference.architecture
        return architecture in architectures() and reference.tag in _weights_by_tag(architecture)

    def load(self, reference: NetworkReference) -> LoadedNetwork:
        """Weights that are not on this machine are downloaded."""
        tag = reference.tag
        weights = _weights_by_tag(reference.architecture).get(tag)
        if weights is None:
            tags = ", ".join(_weights_by_tag(reference.architecture))
            raise NetworkError(f"weights {tag!r}: expected one of {tags}")
        check_downloadable(weights.url)
        try:
            state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except OSError as error:
            raise download_failed(weights.url, error) from error
        labels = tuple(weights.meta.get("categories") or ())
        side = (weights.meta.get("min_size") or (None,))[0]
        module = build(reference.architecture, state, len(labels) or 1000, side, published=True)
        module.load_state_dict(state)
        transforms = weights.transforms()
        size = transforms.crop_size[0]
        return LoadedNetwork(
            module, Preprocessing(size, tuple(transforms.mean), tuple(transforms.std)), labels
        )


@lru_cache(maxsize=1)
def architectures() -> tuple[str, ...]:
    """Names of all classification networks of torchvision."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def other_kind(architecture: str) -> str | None:
    """What a network of torchvision is for that is none for classification, such as detection."""
    for kind in _OTHER_KINDS:
        if architecture in torchvision.models.list_models(module=getattr(torchvision.models, kind)):
            return kind.replace("_", " ")
    return None


def not_classification(kind: str) -> str:
    """The sentence for whoever asks for a network of such a kind."""
    return (
        f"this is a network of torchvision for {kind}, which does not give one number a class; "
        "expected a classification network of torchvision.models, such as resnet18"
    )


@lru_cache(maxsize=256)
def _weights_by_tag(architecture: str) -> dict[str, Any]:
    if architecture not in architectures():
        kind = other_kind(architecture)
        raise NetworkError(
            f"architecture {architecture!r}: expected a name of torchvision.models, such as resnet18"
            if kind is None
            else not_classification(kind)
        )
    return {weights.name: weights for weights in torchvision.models.get_model_weights(architecture)}


def build(
    architecture: str,
    state: Mapping[str, Tensor],
    classes: int,
    image_size: int | None = None,
    *,
    published: bool = False,
) -> nn.Module:
    """Make the module that `state` was saved from, its weights not yet loaded. Raises `NetworkError`.

    torchvision's own constructors load pickles; here they only build, so what they would set for `published`
    weights (auxiliary heads, input transform, a transformer's image size) is set here. Weights of one's own
    were trained without such a transform, which is torchvision's own default.
    """
    arguments: dict[str, Any] = {"num_classes": classes}
    if architecture in TRANSFORMED:
        has_auxiliary = any(key.startswith(("aux1.", "AuxLogits.")) for key in state)
        arguments |= {"aux_logits": has_auxiliary, "transform_input": published, "init_weights": False}
    if architecture.startswith("vit_") and image_size is not None:
        arguments["image_size"] = image_size
    try:
        module: nn.Module = torchvision.models.get_model(architecture, weights=None, **arguments)
    except Exception as error:  # architectures are third-party code
        if is_exhaustion(error):
            raise
        raise NetworkError(
            f"architecture {architecture!r} cannot be made: {type(error).__name__}: {error}"
        ) from error
    return module


def output_tensor_name(architecture: str, state: Mapping[str, Tensor]) -> str:
    """Name of the weight in `state` whose first dimension is the number of classes."""
    heads = [name for name, tensor in state.items() if _HEAD.fullmatch(name) and tensor.ndim >= 2]
    # The classifier of AlexNet or VGG is a sequence; its last layer has the highest number.
    return max(heads, key=lambda name: [int(n) for n in re.findall(r"\d+", name)], default="fc.weight")


def default_preprocessing(architecture: str) -> Preprocessing:
    """The preprocessing of the architecture's default weights."""
    weights = _weights_by_tag(architecture)
    if not weights:
        return Preprocessing(224, IMAGENET_MEAN, IMAGENET_STD)
    transforms = next(iter(weights.values())).transforms()
    return Preprocessing(transforms.crop_size[0], tuple(transforms.mean), tuple(transforms.std))
