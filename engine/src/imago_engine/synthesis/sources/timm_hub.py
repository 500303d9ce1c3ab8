"""Any timm network with a pretrained tag."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import timm
from huggingface_hub import constants, get_session
from huggingface_hub.file_download import repo_folder_name
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from imago_engine.networks import NetworkReference, SourceName
from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.sources.downloads import check_downloadable, check_reachable, download_failed
from imago_engine.synthesis.sources.network_source import LoadedNetwork, NetworkError, Preprocessing


class Timm:
    """Networks of timm, with weights of its hub."""

    name: SourceName = "timm"

    def ids(self) -> Iterable[str]:
        """Architecture and tag of all published weights."""
        return _pretrained_ids()

    def knows(self, reference: NetworkReference) -> bool:
        return reference.id in _pretrained_ids()

    def load(self, reference: NetworkReference) -> LoadedNetwork:
        """Weights that are not on this machine are downloaded."""
        name = ".".join(filter(None, (reference.architecture, reference.tag)))
        if name not in _pretrained_ids():
            tags = [id for id in _pretrained_ids() if id.partition(".")[0] == reference.architecture]
            raise NetworkError(
                "timm has no pretrained network of this name; "
                + (
                    f"there are {', '.join(sorted(tags)[:8])}"
                    if tags
                    else "timm.list_pretrained() lists them"
                )
            )
        where = _check_downloadable(timm.get_pretrained_cfg(name))
        try:
            module = timm.create_model(name, pretrained=True)
        except (
            OSError,
            RuntimeError,
        ) as error:  # hub errors are OSErrors; some wrap a connection's RuntimeError
            if is_exhaustion(error):
                raise
            raise download_failed(where, error) from error
        return LoadedNetwork(module, preprocessing_of(_own_config(module)), _labels_of(module))


def _check_downloadable(config: Any) -> str:
    """Where the weights come from, as far as they are not on this machine. Raises `NetworkError` where that
    cannot be reached."""
    if not config.hf_hub_id:
        check_downloadable(config.url)
        return str(config.url)
    host = urlsplit(constants.ENDPOINT).netloc
    kept = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=config.hf_hub_id, repo_type="model")
    # What is kept is taken as it is where the hub cannot be asked for something newer, by the hub's library.
    if not constants.is_offline_mode() and not any((kept / "snapshots").glob("*/*")):
        check_reachable(host, lambda seconds: get_session().head(constants.ENDPOINT, timeout=seconds))
    return host


@lru_cache(maxsize=1)
def _pretrained_ids() -> frozenset[str]:
    return frozenset(timm.list_pretrained())


def build(architecture: str, state: Mapping[str, Tensor], classes: int, image_size: int) -> nn.Module:
    """Make the module that `state` was saved from, its weights not yet loaded. Raises `NetworkError`.

    A network with a place for each patch of the picture is made for `image_size` pixels; the others take any.
    """
    own_size = default_preprocessing(architecture).size
    sizes: list[dict[str, Any]] = [{}] if image_size == own_size else [{"img_size": image_size}, {}]
    for arguments in sizes:
        try:
            return timm.create_model(architecture, pretrained=False, num_classes=classes, **arguments)
        except Exception as error:  # architectures are third-party code
            if is_exhaustion(error):
                raise
            if arguments == sizes[-1]:
                raise NetworkError(
                    f"architecture {architecture!r} cannot be made: {type(error).__name__}: {error}"
                ) from error
    raise AssertionError("unreachable")


def output_tensor_name(architecture: str, state: Mapping[str, Tensor]) -> str:
    """Name of the classifier's weight, whose first dimension is the number of classes."""
    classifier = _config(architecture).classifier
    named = classifier if isinstance(classifier, str) else next(iter(classifier or ()), "head")
    return f"{named}.weight"


def default_preprocessing(architecture: str) -> Preprocessing:
    """The preprocessing of the architecture's default weights."""
    return preprocessing_of(_config(architecture).to_dict())


def preprocessing_of(config: dict[str, Any]) -> Preprocessing:
    """What a timm `pretrained_cfg` describes. Raises `NetworkError` for inputs that are not square RGB."""
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise NetworkError(f"input of {channels}×{height}×{width}: expected 3 channels and a square")
    return Preprocessing(height, tuple(config["mean"]), tuple(config["std"]))


def _config(architecture: str) -> Any:
    if not timm.is_model(architecture):
        raise NetworkError(
            f"architecture {architecture!r}: expected a name of timm.list_models(), such as resnet18"
        )
    try:
        return timm.get_pretrained_cfg(architecture)
    except RuntimeError as error:  # the name is known, the tag behind it is not
        raise NetworkError(
            f"architecture {architecture!r}: {error}; expected {architecture.partition('.')[0]}, or a tag of "
            "timm.list_pretrained() behind it"
        ) from error


def _own_config(module: nn.Module) -> dict[str, Any]:
    return cast(dict[str, Any], module.pretrained_cfg)


def _labels_of(module: nn.Module) -> tuple[str, ...]:
    own = _own_config(module).get("label_names")
    if own:
        return tuple(own)
    subset = infer_imagenet_subset(module)
    return imagenet_labels(subset) if subset else ()


@lru_cache(maxsize=4)
def imagenet_labels(subset: str = "imagenet-1k") -> tuple[str, ...]:
    """Descriptions of ImageNet's classes in index order: `tench, Tinca tinca`, …"""
    info = ImageNetInfo(subset)
    classes: int = info.num_classes()  # type: ignore[no-untyped-call]
    return tuple(info.index_to_description(index) for index in range(classes))
