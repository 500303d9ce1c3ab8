"""Weights out of a Caffe binary protobuf (`*.caffemodel`).

Field numbers are those of caffe.proto: NetParameter{layers = 2 (V1), layer = 100}, LayerParameter{name = 1,
blobs = 7}, V1LayerParameter{layer = 1 (V0), name = 4, blobs = 6}, BlobProto{num, channels, height, width =
1…4, data = 5, shape = 7, double_data = 8}, BlobShape{dim = 1}. Everything else of the message is skipped.
"""

import mmap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imago_engine.importing.errors import GeneratorImportError
from imago_engine.importing.wire import fields, integers, numbers


@dataclass(frozen=True)
class _LayerNumbers:
    """Where a version of the layer message keeps its name and its blobs."""

    name: int
    blobs: int
    older: int | None = None


LAYER_VERSIONS = {100: _LayerNumbers(name=1, blobs=7), 2: _LayerNumbers(name=4, blobs=6, older=1)}


@dataclass
class _Blob:
    shape: list[int] | None = None
    legacy: dict[int, int] = field(default_factory=dict)
    single: list[np.ndarray] = field(default_factory=list)
    double: list[np.ndarray] = field(default_factory=list)


def read_caffemodel(path: Path) -> dict[str, tuple[Tensor, ...]]:
    """The blobs of every layer that has any, float32, by layer name, in the file's order.

    Shapes are as stored: InnerProduct [out, in], Convolution [out, in, kh, kw], Deconvolution [in, out, kh,
    kw], each followed by its bias [out]; files of older Caffe versions pad them in front to four dimensions.
    Raises `GeneratorImportError`.
    """
    with path.open("rb") as handle:
        try:
            content = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise GeneratorImportError(f"{path.name} is empty") from error
    layers: dict[str, tuple[Tensor, ...]] = {}
    try:
        for number, _, value in fields(content):
            if number not in LAYER_VERSIONS or isinstance(value, int):
                continue
            name, blobs = _layer(value, LAYER_VERSIONS[number])
            if not blobs:
                continue  # ReLU, Reshape, data and loss layers
            if name in layers:
                raise GeneratorImportError(f"two layers named {name!r} have weights")
            layers[name] = blobs
    except GeneratorImportError as error:
        raise GeneratorImportError(f"{path.name} is no whole Caffe model: {error}") from error
    if not layers:
        raise GeneratorImportError(
            f"{path.name} holds no layer with weights; expected a trained *.caffemodel"
        )
    return layers


def _layer(message: memoryview, version: _LayerNumbers) -> tuple[str, tuple[Tensor, ...]]:
    name, blobs = "", []
    for number, _, value in fields(message):
        if isinstance(value, int):
            continue
        if number == version.name:
            name = bytes(value).decode("utf-8", "replace")
        elif number == version.blobs:
            blobs.append(value)
        elif number == version.older:
            raise GeneratorImportError(
                "its layers are of the oldest kind (V0); Caffe's upgrade_net_proto_binary converts them"
            )
    return name, tuple(_tensor(blob, f"layer {name!r}, blob {i}") for i, blob in enumerate(blobs))


def _tensor(message: memoryview, where: str) -> Tensor:
    blob = _Blob()
    for number, wire_type, value in fields(message):
        if number == 5:
            blob.single.append(numbers(wire_type, value, "<f4"))
        elif number == 8:
            blob.double.append(numbers(wire_type, value, "<f8"))
        elif number == 7 and not isinstance(value, int):
            blob.shape = [dim for part, _, dims in fields(value) if part == 1 for dim in integers(dims)]
        elif number <= 4 and isinstance(value, int):
            blob.legacy[number] = value
    parts = blob.double or blob.single
    # A copy: the array must outlive the mapped file.
    values = np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)
    if blob.shape is None and blob.legacy:
        blob.shape = [blob.legacy.get(number, 0) for number in (1, 2, 3, 4)]
    shape = blob.shape or []
    expected = 1
    for dim in shape:
        expected *= dim
    if values.size != expected:
        raise GeneratorImportError(
            f"{where}: its shape {shape} needs {expected} values, the file has {values.size}"
        )
    return torch.from_numpy(values).reshape(shape)
