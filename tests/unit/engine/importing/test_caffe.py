from pathlib import Path

import pytest
import torch
from torch import Tensor

from imago_engine.importing.caffe import read_caffemodel
from imago_engine.importing.errors import GeneratorImportError
from tests.unit.engine.importing.caffe_messages import MESSAGES, loose_network, network, old_network, write


def blobs(*shapes: tuple[int, ...]) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(7)
    return [torch.randn(shape, generator=drawn) for shape in shapes]


LINEAR, DECONVOLUTION = blobs((5, 7), (5,)), blobs((4, 3, 2, 2), (3,))


def assert_equal(read: tuple[Tensor, ...], written: list[Tensor]) -> None:
    assert [tensor.shape for tensor in read] == [tensor.shape for tensor in written]
    assert all(torch.equal(a, b) for a, b in zip(read, written, strict=True))


def test_blobs_come_back_bit_for_bit_in_their_shapes(tmp_path: Path) -> None:
    written = network(
        [("defc7", "InnerProduct", LINEAR), ("relu", "ReLU", []), ("deconv0", "Deconvolution", DECONVOLUTION)]
    )
    layers = read_caffemodel(write(tmp_path / "generator.caffemodel", written))
    assert list(layers) == ["defc7", "deconv0"]
    assert_equal(layers["defc7"], LINEAR)
    assert_equal(layers["deconv0"], DECONVOLUTION)
    assert all(tensor.dtype == torch.float32 for layer in layers.values() for tensor in layer)


def test_layers_of_the_old_kind_keep_their_four_dimensions(tmp_path: Path) -> None:
    layers = read_caffemodel(
        write(
            tmp_path / "old.caffemodel", old_network([("defc7", 14, LINEAR), ("deconv0", 39, DECONVOLUTION)])
        )
    )
    assert [tuple(tensor.shape) for tensor in layers["defc7"]] == [(1, 1, 5, 7), (1, 1, 1, 5)]
    assert torch.equal(layers["defc7"][0].reshape(5, 7), LINEAR[0])
    assert_equal(layers["deconv0"][:1], DECONVOLUTION[:1])


def test_double_precision_blobs_are_read_and_stored_gradients_ignored(tmp_path: Path) -> None:
    doubles = network([("defc7", "InnerProduct", LINEAR)], double=True, diff=True)
    assert_equal(read_caffemodel(write(tmp_path / "double.caffemodel", doubles))["defc7"], LINEAR)


def test_numbers_that_are_not_packed_are_read_alike(tmp_path: Path) -> None:
    loose = write(tmp_path / "loose.caffemodel", loose_network([("defc7", LINEAR)]))
    assert_equal(read_caffemodel(loose)["defc7"], LINEAR)


def test_a_file_cut_off_anywhere_is_refused_or_lacks_whole_layers_only(tmp_path: Path) -> None:
    whole = network(
        [("defc7", "InnerProduct", LINEAR), ("deconv0", "Deconvolution", DECONVOLUTION)]
    ).SerializeToString()
    path, refused = tmp_path / "cut.caffemodel", 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            layers = read_caffemodel(path)
        except GeneratorImportError:
            refused += 1
        else:
            assert list(layers) == ["defc7"]
            assert_equal(layers["defc7"], LINEAR)
    assert refused >= len(whole) - 1


def test_a_shape_that_does_not_fit_its_data_is_named(tmp_path: Path) -> None:
    net = network([("defc7", "InnerProduct", LINEAR)])
    net.layer[0].blobs[0].shape.dim[0] = 6
    with pytest.raises(
        GeneratorImportError,
        match=r"layer 'defc7', blob 0: its shape \[6, 7\] needs 42 values, the file has 35",
    ):
        read_caffemodel(write(tmp_path / "bad.caffemodel", net))


def test_the_oldest_layers_are_refused_with_the_tool_that_converts_them(tmp_path: Path) -> None:
    net = MESSAGES["NetParameter"]()
    net.layers.add().layer.name = "conv1"
    with pytest.raises(GeneratorImportError, match="upgrade_net_proto_binary"):
        read_caffemodel(write(tmp_path / "v0.caffemodel", net))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>", "no whole Caffe model"),
        (b"\x0a\x04caff", "no layer with weights"),
        (b"\xff" * 40, "longer than 64 bits"),
    ],
)
def test_what_is_no_caffe_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.caffemodel"
    path.write_bytes(content)
    with pytest.raises(GeneratorImportError, match=message):
        read_caffemodel(path)
