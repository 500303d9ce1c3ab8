import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from imago_engine.generators import GeneratorFileError, GeneratorInfo
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.generators.files import file_sha256, load_generator, read_info, save_generator
from imago_engine.synthesis.generators.prior import CodeSamples

ARGUMENTS = {"code_size": 20, "widths": (16, 8, 8), "depths": (1, 1, 1)}


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(1)
    info = GeneratorInfo(
        "compact", ARGUMENTS, (20,), 32, "rgb_unit_tanh", "resnet18.a1_in1k", "global_pool", "ab" * 32,
        recommended={"steps": 50}, training={"pictures_seen": 7},
    )  # fmt: skip
    return Generator(
        info, build_network("compact", ARGUMENTS), torch.rand(20), torch.rand(20) + 0.1, torch.zeros(20)
    )


@pytest.fixture
def path(generator: Generator, tmp_path: Path) -> Path:
    save_generator(tmp_path / "g.safetensors", generator)
    return tmp_path / "g.safetensors"


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, **info: object) -> None:
    """Change tensors or fields of the description of a generator file."""
    with safe_open(path, "pt") as handle:
        metadata = handle.metadata()
    description = json.loads(metadata["imago-generator"])
    description["info"] |= info
    metadata["imago-generator"] = json.dumps(description)
    save_file(load_file(path) if tensors is None else tensors, path, metadata)


def test_a_generator_is_the_same_after_saving_and_loading(path: Path, generator: Generator) -> None:
    loaded = load_generator(path)
    codes = torch.rand(4, 20)
    torch.testing.assert_close(loaded(codes), generator(codes), atol=5e-3, rtol=0)  # stored as float16
    for name in ("code_mean", "code_std", "code_lower"):
        assert torch.equal(getattr(loaded, name), getattr(generator, name))
    assert loaded.info.encoder_sha256 == "ab" * 32
    assert loaded.info.code_shape == (20,)
    assert next(loaded.parameters()).dtype == torch.float32


def test_weights_stored_as_float32_are_exact(tmp_path: Path, generator: Generator) -> None:
    save_generator(tmp_path / "g.safetensors", generator, torch.float32)
    codes = torch.rand(4, 20)
    assert torch.equal(load_generator(tmp_path / "g.safetensors")(codes), generator(codes))


def test_a_generator_can_be_loaded_in_bfloat16(path: Path) -> None:
    loaded = load_generator(path, dtype=torch.bfloat16)
    assert loaded(torch.rand(1, 20, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_description_is_read_without_the_weights(path: Path) -> None:
    info = read_info(path)
    assert (info.architecture, info.encoder, info.encoder_layer) == (
        "compact",
        "resnet18.a1_in1k",
        "global_pool",
    )
    assert info.recommended == {"steps": 50}
    assert info.training == {"pictures_seen": 7}


def test_the_same_generator_gives_the_same_file(path: Path, generator: Generator, tmp_path: Path) -> None:
    save_generator(tmp_path / "again.safetensors", generator)
    assert file_sha256(path) == file_sha256(tmp_path / "again.safetensors")


def test_a_missing_tensor_is_named(path: Path) -> None:
    tensors = load_file(path)
    del tensors["network.to_rgb.bias"]
    rewrite(path, tensors)
    with pytest.raises(
        GeneratorFileError, match=r"'network.to_rgb.bias': expected shape \(3,\), got nothing"
    ):
        load_generator(path)


def test_a_surplus_tensor_is_named(path: Path) -> None:
    rewrite(path, load_file(path) | {"extra": torch.zeros(1)})
    with pytest.raises(GeneratorFileError, match="'extra': expected shape no such tensor"):
        load_generator(path)


def test_a_misshapen_tensor_is_named_with_both_shapes(path: Path) -> None:
    rewrite(path, load_file(path) | {"code_std": torch.ones(21)})
    with pytest.raises(GeneratorFileError, match=r"'code_std': expected shape \(20,\), got \(21,\)"):
        load_generator(path)


def test_a_description_that_builds_a_huge_network_is_refused_by_its_tensors(path: Path) -> None:
    rewrite(path, arguments={**ARGUMENTS, "style": 10**9})
    with pytest.raises(GeneratorFileError, match="expected shape"):
        load_generator(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "stylegan"}, "expected an architecture of compact"),
        ({"arguments": {"colour": 1}}, "do not build a compact"),
        ({"code_shape": "many"}, "does not describe a generator"),
        ({"surprise": 1}, "does not describe a generator"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(
    path: Path, change: dict[str, object], message: str
) -> None:
    rewrite(path, None, **change)
    with pytest.raises(GeneratorFileError, match=message):
        load_generator(path)


def test_another_file_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(GeneratorFileError, match="not a readable safetensors file"):
        read_info(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(GeneratorFileError, match="expected the metadata key 'imago-generator'"):
        read_info(tmp_path / "plain.safetensors")
    with pytest.raises(GeneratorFileError, match="not a readable safetensors file"):
        read_info(tmp_path / "absent.safetensors")


def test_the_prior_of_the_codes_is_kept(generator: Generator, tmp_path: Path) -> None:
    axes, prototypes = torch.randn(5, 20).half().float(), torch.randn(9, 5).half().float()
    statistics = (generator.code_mean, generator.code_std, generator.code_lower)
    save_generator(
        tmp_path / "p.safetensors",
        Generator(generator.info, generator.network, *statistics, axes, prototypes),
    )
    loaded = load_generator(tmp_path / "p.safetensors")
    assert loaded.prior is not None
    assert torch.equal(loaded.prior.axes, axes)
    assert torch.equal(loaded.prior.prototypes, prototypes)


def test_half_a_prior_is_refused(path: Path) -> None:
    rewrite(path, {**load_file(path), "code_axes": torch.randn(5, 20)})
    with pytest.raises(GeneratorFileError, match=r"code_prototypes.*got nothing"):
        load_generator(path)


def with_samples(generator: Generator) -> Generator:
    axes, prototypes = torch.randn(5, 20).half().float(), torch.randn(9, 5).half().float()
    statistics = (generator.code_mean, generator.code_std, generator.code_lower)
    samples = CodeSamples.of(torch.randn(30, 5))
    return Generator(generator.info, generator.network, *statistics, axes, prototypes, *samples)


def test_samples_of_codes_are_kept_in_8_bits_whatever_is_computed_with(
    generator: Generator, tmp_path: Path
) -> None:
    known, path = with_samples(generator), tmp_path / "s.safetensors"
    save_generator(path, known)
    assert read_info(path).prior == {"directions": 5, "prototypes": 9, "samples": 30}
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load_generator(path, dtype=dtype)
        assert loaded.code_samples is not None
        assert loaded.code_samples.dtype == torch.int8
        assert torch.equal(loaded.code_samples, known.code_samples)  # type: ignore[arg-type]
    assert load_generator(path).prior is not None


def test_samples_without_their_scale_are_refused(generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_generator(path, with_samples(generator))
    tensors = load_file(path)
    del tensors["code_sample_scale"]
    rewrite(path, tensors)
    with pytest.raises(GeneratorFileError, match=r"code_sample_scale.*got nothing"):
        load_generator(path)
