"""Networks to be explained: found by id, loaded frozen, with all that is needed to feed them."""

import hashlib
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from imago_engine.networks import NetworkReference
from imago_engine.synthesis.networks.modes import loading_modes
from imago_engine.synthesis.networks.run import first_tensor
from imago_engine.synthesis.sources import reference_by_id, source_named
from imago_engine.synthesis.sources.network_source import NetworkError, Preprocessing, UnknownNetwork

__all__ = [
    "Network",
    "NetworkError",
    "Preprocessing",
    "UnknownNetwork",
    "load_network",
]


@dataclass(frozen=True)
class Network:
    """A frozen network in eval mode, shared by many jobs. `module` takes [N, 3, S, S] from `preprocessing`.

    `labels` names the classes in index order and is empty when no names are known. `weights_sha256`
    identifies the weights: the hash of their file, or of names, shapes and values of all tensors.
    """

    id: str
    module: nn.Module
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    weights_sha256: str

    @property
    def device(self) -> torch.device:
        """Where its weights are. Raises `NetworkError` for a network without any."""
        return first_tensor(self.module).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that the input is fed in. Raises `NetworkError` for a network without weights."""
        return first_tensor(self.module).dtype


@loading_modes()
def load_network(
    reference: NetworkReference | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    channels_last: bool = True,
) -> Network:
    """Load a network, named by its id or by more, in eval mode and without gradients of its weights.

    With a lower `dtype` the convolutions and linear layers run in it; batch norm keeps float32 statistics.
    Raises `NetworkError` when the weights cannot be had or do not fit, `UnknownNetwork` for an unknown id.
    """
    if isinstance(reference, str):
        reference = reference_by_id(reference)
    try:
        loaded = source_named(reference.source).load(reference)
    except NetworkError as error:
        raise type(error)(error.reason, reference.id) from error.__cause__
    module = loaded.module.eval().requires_grad_(False)
    digest = loaded.weights_sha256 or state_sha256(module)
    module = module.to(device=device, dtype=dtype)
    if dtype != torch.float32:
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                part.float()
    if channels_last:
        module = module.to(memory_format=torch.channels_last)
    labels = loaded.labels if reference.stated.labels is None else reference.stated.labels
    return Network(reference.id, module, reference.stated.over(loaded.preprocessing), labels, digest)


def state_sha256(module: nn.Module) -> str:
    """Hash of all tensors of a module: names, dtypes, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
