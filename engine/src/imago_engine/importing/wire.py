"""The protobuf wire format, as much of it as a file of weights needs.

A released generator is one message of 224 MB. Reading the wire directly gives numpy views of its packed
floats. The package `protobuf` would parse all of it into copies, stop at 2 GB, and need classes made of
caffe.proto at run time; the tests write their files with it, so that both agree. Format:
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from imago_engine.importing.errors import GeneratorImportError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Field = tuple[int, int, int | memoryview]
"""Field number, wire type, and the value: an int for VARINT, else the raw bytes."""


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message in file order.

    Raises `GeneratorImportError` where it is cut off or is no protobuf.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise GeneratorImportError(f"no protobuf message: field number 0 at byte {position - 1}")
        if wire_type == VARINT:
            value, position = _varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            length, position = _varint(message, position)
        elif wire_type == FIXED64:
            length = 8
        elif wire_type == FIXED32:
            length = 4
        else:  # groups (3, 4) were never used by Caffe
            raise GeneratorImportError(f"no protobuf message: wire type {wire_type} in field {number}")
        if length > end - position:
            raise GeneratorImportError(
                f"truncated: field {number} should have {length} bytes, {end - position} are left of the "
                "file's message"
            )
        yield number, wire_type, message[position : position + length]
        position += length


def numbers(wire_type: int, value: int | memoryview, kind: Literal["<f4", "<f8"]) -> npt.NDArray[np.floating]:
    """The floats of one field occurrence: a packed run of them, or a single one."""
    single = FIXED32 if kind == "<f4" else FIXED64
    if isinstance(value, int) or wire_type not in (BYTES, single):
        raise GeneratorImportError(f"expected floats ({kind}), found wire type {wire_type}")
    if len(value) % int(kind[2]):
        raise GeneratorImportError(f"{len(value)} bytes are no whole number of {kind} values")
    return np.frombuffer(value, dtype=kind)


def integers(value: int | memoryview) -> list[int]:
    """The varints of one field occurrence: a packed run of them, or a single one."""
    if isinstance(value, int):
        return [value]
    found, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        found.append(number)
    return found


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise GeneratorImportError(
                f"no protobuf message: a number longer than 64 bits at byte {position}"
            )
    raise GeneratorImportError("truncated: the file ends within a number")
