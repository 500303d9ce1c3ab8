"""Weights out of PyTorch state dicts:

`torch.save` files, read without running any of their code, and safetensors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from imago_engine.importing.errors import GeneratorImportError

PREFIXES = ("module.", "_orig_mod.", "generator.", "model.", "G.")
"""What wrappers put before a layer's name: DataParallel, torch.compile, and models that hold the generator as
a part."""
CONTAINERS = ("state_dict", "generator", "model", "G")


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a `torch.save` file as saved, by key. Raises `GeneratorImportError`."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    # What a damaged pickle can make torch's reader raise has no common ancestor: IndexError for an empty
    # stack, AssertionError, AttributeError, TypeError.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GeneratorImportError(
            f"{path.name} is no whole PyTorch state dict: {reason} "
            "(only tensors are read, never pickled code; save the state dict rather than the module)"
        ) from error
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping):
        raise GeneratorImportError(
            f"{path.name}: expected a state dict (names → tensors), found {type(content).__name__}"
        )
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise GeneratorImportError(
            f"{path.name}: expected a state dict (names → tensors); no tensors: {strange[:5]}"
        )
    return {str(key): value for key, value in content.items()}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by key. Raises `GeneratorImportError`."""
    try:
        return load_file(path)
    except Exception as error:  # likewise: a type that torch lacks is an AttributeError or a KeyError
        raise GeneratorImportError(f"{path.name} is no whole safetensors file: {error}") from error


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in float32 under the layers' own names: wrappers' prefixes and a stray `.1.` are taken
    off.

    `module.defc7.1.weight` becomes `defc7.weight`. (`conv5_1.weight` keeps its name: its 1 is not between
    dots.) Raises `GeneratorImportError` for what is no dense tensor of floating-point numbers.
    """
    plain: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key
        while prefix := next((p for p in PREFIXES if name.startswith(p)), None):
            name = name[len(prefix) :]
        name = name.replace(".1.", ".")
        if name in plain:
            raise GeneratorImportError(
                f"two tensors are called {name!r} once prefixes are taken off (one is {key!r})"
            )
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
            raise GeneratorImportError(
                f"{key} is a tensor of {tensor.dtype} ({tensor.layout}, on {tensor.device}); expected a "
                "dense one of floating-point numbers (float16, bfloat16, float32 or float64)"
            )
        plain[name] = tensor.detach().to(torch.float32).contiguous()
    return plain
