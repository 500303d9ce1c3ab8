"""What can be told of a layer's map at another input size without running the network."""

import pytest

from services.catalog.layers import Layer, MapBounds, map_at


def layer(side: int | None, stride: int | None, kind: str = "conv") -> Layer:
    return Layer("net.random", "layer", 0, kind, 8, None if side is None else (side, side), 99, stride)


@pytest.mark.parametrize(
    ("found", "size", "least", "most"),
    [
        (layer(14, 16), 224, 14, 14),
        (layer(14, 16), 256, 16, 16),
        (layer(14, 16), 128, 8, 8),
        (layer(14, 16), 230, 14, 15),
        (layer(14, 16), 220, 13, 14),
        (layer(1, 224, "pool"), 64, 1, 1),
        # An adaptive pool of 7 × 7 keeps its size whatever goes in.
        (layer(7, 32, "pool"), 128, 4, 7),
        (layer(7, 32, "pool"), 288, 7, 9),
        (layer(14, None), 224, 14, 14),
        (layer(14, None), 256, None, None),
        (layer(None, None), 256, None, None),
    ],
)
def test_a_map_grows_by_one_place_a_stride(
    found: Layer, size: int, least: int | None, most: int | None
) -> None:
    def square(side: int | None) -> tuple[int, int] | None:
        return None if side is None else (side, side)

    assert map_at(found, 224, size) == MapBounds(square(least), square(most))
