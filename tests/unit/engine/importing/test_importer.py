"""Whole generators, in the sizes in which the world has them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from imago_engine.importing.command import run
from imago_engine.importing.errors import GeneratorImportError
from imago_engine.importing.importer import Bounds, import_generator
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.generators.bounds import Bounds as AscentBounds
from imago_engine.synthesis.generators.files import load_generator, read_info
from tests.unit.engine.importing.caffe_messages import network, old_network, write

POOL5 = "deepsim-pool5"


def drawn(architecture: str) -> dict[str, Tensor]:
    """Random weights of a released architecture, by the names of its files. Every row of a linear layer is
    the same: 50 of the 56 million weights of fc6 then cost neither time nor space.
    """
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in build_network(architecture, {}).state_dict().items()}
    draw = torch.Generator().manual_seed(11)
    return {
        name: torch.empty(shape[-1:] if len(shape) == 2 else shape)
        .uniform_(-0.02, 0.02, generator=draw)
        .expand(shape)
        for name, shape in shapes.items()
    }


def layers_of(weights: dict[str, Tensor]) -> list[tuple[str, list[Tensor]]]:
    names = list(dict.fromkeys(key.rpartition(".")[0] for key in weights))
    return [(name, [weights[f"{name}.weight"], weights[f"{name}.bias"]]) for name in names]


def assert_same_weights(generator: Generator, weights: dict[str, Tensor]) -> None:
    loaded = generator.network.state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


@pytest.fixture(scope="module")
def pool5() -> dict[str, Tensor]:
    return drawn(POOL5)


@pytest.fixture(scope="module")
def caffemodel(pool5: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    kinds = {"Rc": "Convolution", "co": "Deconvolution", "de": "Deconvolution"}
    net = network([(name, kinds[name[:2]], blobs) for name, blobs in layers_of(pool5)])
    return write(tmp_path_factory.mktemp("caffe") / "generator.caffemodel", net)


def test_a_caffe_generator_becomes_a_generator_file_bit_for_bit(
    caffemodel: Path, pool5: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, bounds = tmp_path / "pool5.safetensors", tmp_path / "conv5.txt"
    bounds.write_text(" ".join(str(20 + i % 7) for i in range(256 * 36)))
    assert run([str(caffemodel), "--architecture", POOL5, "--bounds", str(bounds), "--out", str(out)]) == 0
    generator = load_generator(out)
    assert_same_weights(generator, pool5)
    info = read_info(out)
    assert (info.architecture, info.code_shape, info.image_size, info.pixels) == (
        POOL5,
        (256, 6, 6),
        256,
        "bgr_mean",
    )
    assert (info.encoder, info.encoder_layer) == ("caffenet", "pool5")
    assert info.training["imported_from"] == "generator.caffemodel"
    assert info.training["bounds"] == "conv5.txt"
    ascent = AscentBounds.of(generator, "sigma", info.recommended["bounds_k"])
    clipped = ascent.clip(torch.full((1, 256, 6, 6), 1e6))
    assert clipped.flatten().tolist() == [20 + i % 7 for i in range(256 * 36)]
    assert ascent.clip(torch.full((1, 256, 6, 6), -1e6)).abs().max() == 0
    assert str(out) in capsys.readouterr().out


def test_a_picture_is_rgb_of_the_caffe_output_plus_its_mean(
    caffemodel: Path, pool5: dict[str, Tensor]
) -> None:
    generator = import_generator(caffemodel, POOL5)
    code = torch.rand(1, 256, 6, 6, generator=torch.Generator().manual_seed(0))
    bgr = generator.network(code)
    rgb = torch.stack([bgr[:, 2] + 123, bgr[:, 1] + 117, bgr[:, 0] + 104], dim=1) / 255
    torch.testing.assert_close(generator(code), rgb)
    other = import_generator(caffemodel, POOL5, mean_bgr=(100.0, 110.0, 120.0))
    rgb = torch.stack([bgr[:, 2] + 120, bgr[:, 1] + 110, bgr[:, 0] + 100], dim=1) / 255
    torch.testing.assert_close(other(code), rgb)
    assert torch.equal(other.network.state_dict()["deconv1.bias"], pool5["deconv1.bias"])


def test_layers_of_an_older_caffe_import_alike(pool5: dict[str, Tensor], tmp_path: Path) -> None:
    old = old_network((name, 4 if name.startswith("R") else 39, blobs) for name, blobs in layers_of(pool5))
    assert_same_weights(import_generator(write(tmp_path / "old.caffemodel", old), POOL5), pool5)


def test_a_pytorch_fc6_with_stray_names_imports_bit_for_bit_with_the_authors_bounds(tmp_path: Path) -> None:
    weights = drawn("deepsim-fc6")
    assert sum(tensor.numel() for tensor in weights.values()) == pytest.approx(56.1e6, rel=0.001)
    path, bounds = tmp_path / "upconvGAN_fc6.pt", tmp_path / "fc6.txt"
    torch.save(
        {
            name.replace(".", ".1.", 1) if name.startswith("defc") else f"module.{name}": t
            for name, t in weights.items()
        },
        path,
    )
    numbers = [9 + i % 8 for i in range(4096)]
    bounds.write_text(" ".join(map(str, numbers)))
    generator = import_generator(path, "deepsim-fc6", bounds=Bounds(bounds, 3.0))
    assert_same_weights(generator, weights)
    assert AscentBounds.of(generator, "sigma", 3.0).clip(torch.full((1, 4096), 99.0))[0].tolist() == numbers
    assert generator.info.training["format"] == "pytorch"


def test_a_safetensors_state_dict_imports_bit_for_bit(pool5: dict[str, Tensor], tmp_path: Path) -> None:
    save_file({f"generator.{name}": tensor for name, tensor in pool5.items()}, tmp_path / "g.safetensors")
    generator = import_generator(tmp_path / "g.safetensors", POOL5)
    assert_same_weights(generator, pool5)
    # Without a bounds file every code neuron is kept between 0 and 30.
    assert AscentBounds.of(generator, "sigma", 3.0).clip(torch.full((1, 256, 6, 6), 99.0)).eq(30).all()


def test_layers_that_are_missing_or_too_many_are_named(pool5: dict[str, Tensor], tmp_path: Path) -> None:
    weights = dict(pool5)
    weights["stranger.weight"] = weights.pop("deconv0.bias")
    torch.save(weights, tmp_path / "g.pt")
    with pytest.raises(GeneratorImportError, match=r"lacks deconv0\.bias and also has stranger\.weight"):
        import_generator(tmp_path / "g.pt", POOL5)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e300])
def test_weights_that_are_not_finite_are_refused_by_name(
    pool5: dict[str, Tensor], tmp_path: Path, value: float
) -> None:
    weights = {**pool5, "deconv0.bias": torch.tensor([0.0, value, 0.0], dtype=torch.float64)}
    torch.save(weights, tmp_path / "g.pt")
    with pytest.raises(GeneratorImportError, match=r"g\.pt: deconv0\.bias: holds NaN or infinity"):
        import_generator(tmp_path / "g.pt", POOL5)


def test_another_architecture_and_a_wrong_shape_are_told_with_expected_and_got(
    pool5: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(pool5, tmp_path / "g.pt")
    with pytest.raises(
        GeneratorImportError, match=r"no deepsim-fc6 generator: it lacks defc5\.bias.*it may be one of"
    ):
        import_generator(tmp_path / "g.pt", "deepsim-fc6")
    transposed = {**pool5, "deconv0.weight": pool5["deconv0.weight"].transpose(0, 1)}
    torch.save(transposed, tmp_path / "t.pt")
    with pytest.raises(
        GeneratorImportError, match=r"deconv0\.weight: expected shape \[32, 3, 4, 4\].*got \[3, 32, 4, 4\]"
    ):
        import_generator(tmp_path / "t.pt", POOL5)
    with pytest.raises(GeneratorImportError, match="architecture 'compact': expected one of deepsim-fc6"):
        import_generator(tmp_path / "g.pt", "compact")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "{folder}/g.pt"], "expected a .safetensors file"),
        (["--out", "{folder}/none/g.safetensors"], "in a folder that exists"),
        (["--out", "{folder}/g.safetensors", "--mean", "104,117"], "expected three numbers"),
        (["--out", "{folder}/g.safetensors", "--bounds-k", "0"], "expected a number above 0"),
        (["--out", "{folder}/g.safetensors", "--mean", "104,nan,123"], "expected three numbers"),
        (["--out", "{folder}/g.safetensors", "--bounds-k", "inf"], "expected a number above 0"),
        (["--out", "{folder}/g.safetensors"], "HDF5"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong_and_writes_nothing(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "generator.caffemodel"
    source.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    assert run([str(source), "--architecture", POOL5, *filled]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["generator.caffemodel"]
