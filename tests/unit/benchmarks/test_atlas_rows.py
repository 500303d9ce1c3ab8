"""Synthetic rows of `make bench-atlas`: as a binary COPY has them, and drawn the same again."""

import struct

import numpy as np

from benchmarks.atlas.loading import embeddings_as_copied
from benchmarks.atlas.pictures import drawn
from imago_engine.weights import DIMENSIONS, EYE


def test_embeddings_are_drawn_the_same_again_and_have_length_1() -> None:
    real = np.random.default_rng(0).standard_normal((20, DIMENSIONS)).astype(np.float32)
    one, again, other = drawn(real, 50, 1), drawn(real, 50, 1), drawn(real, 50, 2)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)


def test_rows_are_written_as_a_binary_copy_field_by_field() -> None:
    digests = ["ab" * 32, "cd" * 32]
    vectors = np.zeros((2, DIMENSIONS), np.float32)
    vectors[:, 0] = 1, -0.5
    data = embeddings_as_copied(digests, "a.network", "layer.0001", np.array([3, 70_000]), vectors)
    assert data.startswith(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    assert data.endswith(b"\xff\xff")
    at = 19
    for digest, unit, first in zip(digests, (3, 70_000), (1.0, -0.5), strict=True):
        (columns,) = struct.unpack_from(">h", data, at)
        at += 2
        fields = []
        for _ in range(columns):
            (length,) = struct.unpack_from(">i", data, at)
            fields.append(data[at + 4 : at + 4 + length])
            at += 4 + length
        assert [field.decode() for field in fields[:4]] == [digest, EYE, "a.network", "layer.0001"]
        assert struct.unpack(">i", fields[4]) == (unit,)
        assert struct.unpack(">hhe", fields[5][:6]) == (DIMENSIONS, 0, first)
        assert len(fields[5]) == 4 + 2 * DIMENSIONS
    assert data[at:] == b"\xff\xff"
