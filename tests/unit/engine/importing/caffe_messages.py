"""Caffe's own messages, as its proto file defines them, made at run time: what writes the files that the
tests import.

The importer reads the wire by itself; these files come from Google's library, so the two check each other.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from torch import Tensor

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
    "bytes": _FIELD.TYPE_BYTES,
    "string": _FIELD.TYPE_STRING,
}
# name: [(field, number, type, repeated, packed)]
_MESSAGES: dict[str, list[tuple[str, int, str, bool, bool]]] = {
    "BlobShape": [("dim", 1, "int64", True, True)],
    "BlobProto": [
        ("num", 1, "int32", False, False),
        ("channels", 2, "int32", False, False),
        ("height", 3, "int32", False, False),
        ("width", 4, "int32", False, False),
        ("data", 5, "float", True, True),
        ("diff", 6, "float", True, True),
        ("shape", 7, "BlobShape", False, False),
        ("double_data", 8, "double", True, True),
    ],
    # As BlobProto, by a writer that does not pack: protobuf readers must take both.
    "LooseBlob": [("shape", 7, "LooseShape", False, False), ("data", 5, "float", True, False)],
    "LooseShape": [("dim", 1, "int64", True, False)],
    # What the packed numbers of a BlobProto are on the wire.
    "PackedData": [("data", 5, "bytes", False, False)],
    "LayerParameter": [
        ("name", 1, "string", False, False),
        ("type", 2, "string", False, False),
        ("bottom", 3, "string", True, False),
        ("top", 4, "string", True, False),
        ("blobs", 7, "BlobProto", True, False),
    ],
    "LooseLayer": [("name", 1, "string", False, False), ("blobs", 7, "LooseBlob", True, False)],
    "V0LayerParameter": [("name", 1, "string", False, False), ("blobs", 50, "BlobProto", True, False)],
    "V1LayerParameter": [
        ("layer", 1, "V0LayerParameter", False, False),
        ("bottom", 2, "string", True, False),
        ("name", 4, "string", False, False),
        ("type", 5, "int32", False, False),
        ("blobs", 6, "BlobProto", True, False),
    ],
    "NetParameter": [
        ("name", 1, "string", False, False),
        ("layers", 2, "V1LayerParameter", True, False),
        ("input", 3, "string", True, False),
        ("input_dim", 4, "int32", True, False),
        ("layer", 100, "LayerParameter", True, False),
    ],
    "LooseNet": [("layer", 100, "LooseLayer", True, False)],
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="caffe_for_tests.proto", package="caffe", syntax="proto2")
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind, repeated, packed in fields:
            field = made.field.add(name=name, number=number)
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".caffe.{kind}"
            if packed:
                field.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
        for name in _MESSAGES
    }


MESSAGES = _classes()
Blobs = Sequence[Tensor]


def _fill(blob: Any, tensor: Tensor) -> None:
    """Put the numbers into `data`. The library parses them as one packed field: one by one, the millions of a
    whole generator would take seconds.
    """
    numbers = tensor.numpy().astype("<f4").tobytes()
    blob.MergeFromString(MESSAGES["PackedData"](data=numbers).SerializeToString())


def network(layers: Iterable[tuple[str, str, Blobs]], *, double: bool = False, diff: bool = False) -> Any:
    """A NetParameter as Caffe writes it today: layers of (name, type, blobs), each blob with its shape."""
    net = MESSAGES["NetParameter"](name="generator", input=["feat"], input_dim=[1, 4096])
    for name, kind, blobs in layers:
        layer = net.layer.add(name=name, type=kind, bottom=["x"], top=[name])
        for tensor in blobs:
            blob = layer.blobs.add()
            blob.shape.dim.extend(tensor.shape)
            if double:
                blob.double_data.extend(tensor.flatten().tolist())
            else:
                _fill(blob, tensor)
            if diff:
                blob.diff.extend([0.0] * tensor.numel())
    return net


def old_network(layers: Iterable[tuple[str, int, Blobs]]) -> Any:
    """The same in V1LayerParameter and with the four legacy dimensions, as Caffe wrote it until 2014."""
    net = MESSAGES["NetParameter"](name="generator")
    for name, kind, blobs in layers:
        layer = net.layers.add(name=name, type=kind)
        for tensor in blobs:
            dims = (1,) * (4 - tensor.ndim) + tuple(tensor.shape)
            blob = layer.blobs.add(num=dims[0], channels=dims[1], height=dims[2], width=dims[3])
            _fill(blob, tensor)
    return net


def loose_network(layers: Iterable[tuple[str, Blobs]]) -> Any:
    """The same with every number in a field of its own."""
    net = MESSAGES["LooseNet"]()
    for name, blobs in layers:
        layer = net.layer.add(name=name)
        for tensor in blobs:
            blob = layer.blobs.add()
            blob.shape.dim.extend(tensor.shape)
            blob.data.extend(tensor.flatten().tolist())
    return net


def write(path: Path, message: Any) -> Path:
    path.write_bytes(message.SerializeToString())
    return path
