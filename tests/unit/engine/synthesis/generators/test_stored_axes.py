from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from imago_engine.generators import GeneratorFileError, GeneratorInfo
from imago_engine.synthesis.generators import stored_axes
from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR, Generator, build_network
from imago_engine.synthesis.generators.files import load_generator, save_generator, write_tensors

ARGUMENTS = {"code_size": 20, "widths": (16, 8, 8), "depths": (1, 1, 1)}


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    """Its axes are too many for as they are; neurons vary by 0.001 to 100."""
    monkeypatch.setattr(stored_axes, "LARGEST", 100)
    draw = torch.Generator().manual_seed(3)
    info = GeneratorInfo("compact", ARGUMENTS, (20,), 32, "rgb_unit_tanh", "e.t", "pool", "ab" * 32)
    std = torch.logspace(-3, 2, 20)
    axes = torch.randn(8, 20, generator=draw) * (std + STANDARD_FLOOR)
    prototypes = torch.randn(4, 8, generator=draw)
    network = build_network("compact", ARGUMENTS)
    return Generator(info, network, torch.zeros(20), std, torch.zeros(20), axes, prototypes)


def test_axes_in_8_bits_come_back_to_a_hundredth_of_what_each_neuron_varies_by(
    generator: Generator, tmp_path: Path
) -> None:
    file = tmp_path / "g.safetensors"
    save_generator(file, generator)
    stored = load_file(file)
    assert stored["code_axes"].dtype == torch.int8
    loaded, known = load_generator(file).prior, generator.prior
    assert loaded is not None
    assert known is not None
    away = (loaded.axes - known.axes).abs() / (generator.code_std + STANDARD_FLOOR)
    assert away.max() < 0.02
    assert torch.equal(loaded.prototypes, known.prototypes.half().float())


def test_a_file_with_axes_in_8_bits_is_the_same_when_it_is_saved_again(
    generator: Generator, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    save_generator(one, generator)
    save_generator(other, load_generator(one))
    before, after = load_file(one), load_file(other)
    assert torch.equal(before["code_axes"], after["code_axes"])
    torch.testing.assert_close(before["code_axis_scale"], after["code_axis_scale"])


def test_a_generator_with_axes_in_8_bits_can_be_loaded_in_bfloat16(
    generator: Generator, tmp_path: Path
) -> None:
    file = tmp_path / "g.safetensors"
    save_generator(file, generator)
    loaded = load_generator(file, dtype=torch.bfloat16)
    assert loaded.prior is not None
    assert loaded.prior.axes.dtype == torch.bfloat16


def test_axes_in_8_bits_without_their_scale_are_refused(generator: Generator, tmp_path: Path) -> None:
    file = tmp_path / "g.safetensors"
    save_generator(file, generator)
    tensors = load_file(file)
    del tensors["code_axis_scale"]
    write_tensors(file, tensors, {**generator.info.__dict__, "prior": {}})
    with pytest.raises(GeneratorFileError, match="code_axis_scale"):
        load_generator(file)
