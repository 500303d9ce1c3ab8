"""The hash of a network's weights, which names them."""

import hashlib
import pickle
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def state_sha256(module: nn.Module) -> str:
    """Hash of all that a module keeps: names, dtypes, shapes and values, in the order of the names.

    Beside tensors a module may keep what it likes: packed weights of quantised layers, an extra state.
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        for part_name, part in _parts(name, value):
            if isinstance(part, Tensor):
                digest.update(f"{part_name}:{part.dtype}:{list(part.shape)}\n".encode())
                digest.update(_bytes(part))
            else:
                digest.update(f"{part_name}:\n".encode() + pickle.dumps(part))
    return digest.hexdigest()


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What lies in containers one by one: a pickle of a tensor need not be the same each time."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _parts(f"{name}.{key}", part)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _parts(f"{name}.{number}", part)
    else:
        yield name, value


def _bytes(tensor: Tensor) -> Any:
    """The values of a tensor of any layout, as a view of bytes."""
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    tensor = tensor.resolve_conj().resolve_neg().contiguous()
    return tensor.view(-1).view(torch.uint8).numpy()
