from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from imago_engine.importing.errors import GeneratorImportError
from imago_engine.importing.state_dicts import plain_names, read_safetensors, read_torch


def tensors() -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(3)
    return {"defc7.weight": torch.randn(4, 3, generator=drawn), "defc7.bias": torch.randn(4, generator=drawn)}


def same(read: dict[str, Tensor], written: dict[str, Tensor]) -> bool:
    return read.keys() == written.keys() and all(torch.equal(read[key], written[key]) for key in read)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare pickle"])
@pytest.mark.parametrize("container", [None, "state_dict", "generator", "G"])
def test_a_state_dict_comes_back_bit_for_bit_alone_or_in_a_container(
    tmp_path: Path, container: str | None, zipped: bool
) -> None:
    path, written = tmp_path / "g.pt", tensors()
    content = OrderedDict(written)
    torch.save({container: content} if container else content, path, _use_new_zipfile_serialization=zipped)
    assert same(read_torch(path), written)


@pytest.mark.parametrize(
    "key",
    [
        "defc7.weight",
        "defc7.1.weight",
        "module.defc7.weight",
        "_orig_mod.defc7.weight",
        "_orig_mod.module.generator.defc7.weight",
        "generator.defc7.weight",
        "module.generator.defc7.1.weight",
        "G.defc7.weight",
    ],
)
def test_wrappers_and_stray_numbers_are_taken_off_a_name(key: str) -> None:
    assert list(plain_names({key: torch.ones(2)})) == ["defc7.weight"]


@pytest.mark.parametrize("key", ["conv5_1.weight", "conv4_1.bias", "Rconv6.weight", "deconv0.bias"])
def test_a_layers_own_name_stays(key: str) -> None:
    assert list(plain_names({key: torch.ones(2)})) == [key]


def test_half_precision_is_widened_without_change() -> None:
    half = torch.randn(3, 3).half()
    plain = plain_names({"defc7.weight": half})["defc7.weight"]
    assert plain.dtype == torch.float32
    assert torch.equal(plain.half(), half)


def test_two_names_that_become_one_are_refused() -> None:
    with pytest.raises(GeneratorImportError, match=r"two tensors are called 'defc7\.weight'"):
        plain_names({"defc7.weight": torch.ones(2), "module.defc7.weight": torch.ones(2)})


def test_a_pickled_module_is_refused_and_none_of_its_code_runs(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(GeneratorImportError, match=r"no whole PyTorch state dict.*never pickled code"):
        read_torch(tmp_path / "module.pt")


def test_what_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "defc7.weight": torch.ones(2)}, tmp_path / "checkpoint.pt")
    with pytest.raises(GeneratorImportError, match=r"no tensors: \['epoch'\]"):
        read_torch(tmp_path / "checkpoint.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(GeneratorImportError, match="found Tensor"):
        read_torch(tmp_path / "tensor.pt")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_off_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cut.pt"
    torch.save(tensors(), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(GeneratorImportError, match=r"cut\.pt is no whole PyTorch state dict"):
        read_torch(path)
    save_file(tensors(), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(GeneratorImportError, match=r"cut\.pt is no whole safetensors file"):
        read_safetensors(path)


@pytest.mark.parametrize(
    "content", [b"\x80\x02.", b"\x80\x02N.", b"\x80\x02(.", b"\x80\x020.", b"\x80\x02]R.", b"\x80\x02}b."]
)
def test_a_pickle_that_is_none_is_refused_whatever_it_makes_the_reader_raise(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "g.pt").write_bytes(content)
    with pytest.raises(GeneratorImportError, match=r"g\.pt is no whole PyTorch state dict"):
        read_torch(tmp_path / "g.pt")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, dtype=torch.int8),
        torch.ones(2, dtype=torch.bool),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2).to_sparse(),
        torch.ones(2, device="meta"),
    ],
    ids=["integers", "flags", "complex", "sparse", "no values"],
)
def test_weights_that_are_no_plain_floats_are_refused_by_name(tensor: Tensor) -> None:
    with pytest.raises(
        GeneratorImportError, match=r"module\.defc7\.bias is a tensor of torch\..*floating-point"
    ):
        plain_names({"module.defc7.weight": torch.ones(2), "module.defc7.bias": tensor})


def test_safetensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "g.safetensors")
    assert same(read_safetensors(tmp_path / "g.safetensors"), tensors())
