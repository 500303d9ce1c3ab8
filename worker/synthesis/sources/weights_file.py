"""A user's own weights: a safetensors file for an architecture of torchvision or timm.

The file's metadata may carry two JSON values: `preprocessing` (`{"size", "mean", "std", "bgr"}`, each
optional, mean and std in units of [0, 1]) and `labels` (a list with one string a class). Without them the
architecture's default preprocessing holds and the classes have no names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from worker.synthesis.sources import timm_hub, torchvision_hub
from worker.synthesis.sources.contract import (
    LoadedNetwork,
    NetworkError,
    NetworkReference,
    Preprocessing,
    SourceName,
)

SHOWN = 5  # names listed of each kind of mistake


class WeightsFile:
    name: SourceName = "file"

    def ids(self) -> Iterable[str]:
        return ()  # known to whoever holds the file

    def reference(self, id: str) -> NetworkReference | None:
        return None

    def load(self, reference: NetworkReference) -> LoadedNetwork:
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
        state, metadata = _read(Path(reference.weights))
        classes = reference.classes or _classes(
            state, hub.output_tensor_name(architecture, state), architecture
        )
        preprocessing = _preprocessing(metadata, default)
        module = (
            torchvision_hub.build(architecture, state, classes, image_size=preprocessing.size)
            if library == "torchvision"
            else timm_hub.build(architecture, classes)
        )
        load_strictly(module, state, reference.architecture)
        with Path(reference.weights).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return LoadedNetwork(module, preprocessing, _labels(metadata, classes), weights_sha256=digest)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Load `state` if its names and shapes are the module's and it is finite; else raise `NetworkError`."""
    expected = module.state_dict()
    # Batch norm's step counter plays no part in inference, and converters often leave it out.
    missing = [k for k in expected if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in expected]
    mismatched = [
        f"{k} is {list(state[k].shape)}, expected {list(expected[k].shape)}"
        for k in expected
        if k in state and state[k].shape != expected[k].shape
    ]
    problems = [
        f"{len(names)} {kind} ({'; '.join(names[:SHOWN])}{'; …' if len(names) > SHOWN else ''})"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", mismatched),
        )
        if names
    ]
    if problems:
        raise NetworkError(f"the weights do not fit {architecture}: tensors {', '.join(problems)}")
    broken = [
        k for k, tensor in state.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if broken:
        raise NetworkError(f"the weights have values that are not finite, in {'; '.join(broken[:SHOWN])}")
    module.load_state_dict(dict(state), strict=False)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise NetworkError(f"weights {path.name}: expected a safetensors file ({error})") from error


def _classes(state: Mapping[str, Tensor], output: str, architecture: str) -> int:
    if output not in state:
        raise NetworkError(f"the weights do not fit {architecture}: its classifier {output} is missing")
    return state[output].shape[0]


def _json(metadata: Mapping[str, str], field: str) -> Any:
    try:
        return json.loads(metadata[field]) if field in metadata else None
    except json.JSONDecodeError as error:
        raise NetworkError(f"metadata {field}: expected JSON ({error})") from error


def _preprocessing(metadata: Mapping[str, str], default: Preprocessing) -> Preprocessing:
    given = _json(metadata, "preprocessing")
    if given is None:
        return default
    fields = {"size", "mean", "std", "bgr"}
    if not isinstance(given, dict) or not set(given) <= fields:
        raise NetworkError(
            f"metadata preprocessing: expected an object with fields of {', '.join(sorted(fields))}"
        )
    size, bgr = given.get("size", default.size), given.get("bgr", default.bgr)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 4096:
        raise NetworkError(f"metadata preprocessing.size: expected whole pixels from 1 to 4096, got {size!r}")
    if not isinstance(bgr, bool):
        raise NetworkError(f"metadata preprocessing.bgr: expected true or false, got {bgr!r}")
    mean, std = _triple(given, "mean", default.mean), _triple(given, "std", default.std)
    if min(std) <= 0:
        raise NetworkError(f"metadata preprocessing.std: expected positive numbers, got {list(std)}")
    return Preprocessing(size, mean, std, bgr)


def _triple(
    given: Mapping[str, Any], field: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    value = given.get(field, default)
    if not (
        isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(v, int | float) for v in value)
    ):
        raise NetworkError(
            f"metadata preprocessing.{field}: expected three numbers (red, green, blue), got {value!r}"
        )
    return float(value[0]), float(value[1]), float(value[2])


def _labels(metadata: Mapping[str, str], classes: int) -> tuple[str, ...]:
    labels = _json(metadata, "labels")
    if labels is None:
        return ()
    if (
        not isinstance(labels, list)
        or not all(isinstance(label, str) for label in labels)
        or len(labels) != classes
    ):
        raise NetworkError(f"metadata labels: expected a list of {classes} strings, one a class")
    return tuple(labels)
