"""Networks to be explained: found by id or made of a module, frozen, with all that is needed to feed them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from imago_engine import networks
from imago_engine.networks import NetworkReference
from imago_engine.synthesis.networks.modes import loading_modes, own_modes
from imago_engine.synthesis.networks.own_module import checked_labels, checked_preprocessing, frozen
from imago_engine.synthesis.networks.run import first_tensor
from imago_engine.synthesis.networks.state_hash import state_sha256
from imago_engine.synthesis.sources import reference_by_id, source_named, timm_hub, torchvision_hub
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
    """A frozen network in eval mode, shared by many jobs."""

    id: str
    """`architecture.tag`, or the caller's own name for it."""
    module: nn.Module
    """Takes [N, 3, S, S] from `preprocessing`."""
    preprocessing: Preprocessing
    """From RGB in [0, 1] to the module's input."""
    labels: tuple[str, ...]
    """Names of the classes in index order; empty when no names are known."""
    weights_sha256: str
    """Identifies the weights: the hash of their file, or of names, shapes and values of all tensors."""

    @classmethod
    def of(
        cls,
        module: nn.Module,
        *,
        preprocessing: networks.Preprocessing | None = None,
        labels: Sequence[str] = (),
        id: str | None = None,
        copy: bool = True,
    ) -> "Network":
        """A network of your own module, on the device and in the dtype that it is in.

        It is a frozen copy in eval mode: what the module learns later does not change it. With `copy=False`
        the module itself is frozen, which saves its memory. Without `preprocessing`, timm's own modules have
        what timm says of them, and others what networks trained on ImageNet usually have: 224 pixels, mean
        (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225). `labels` names the classes in index order. Raises
        `NetworkError` for a module that has no values yet or cannot be copied, and for a preprocessing or
        labels that no network has.
        """
        with own_modes():  # a copy made in inference mode could take part in no ascent
            module = frozen(module, copy=copy)
            return cls(
                id=id or f"{type(module).__name__.lower()}.own",
                module=module,
                preprocessing=checked_preprocessing(
                    _usual_preprocessing(module) if preprocessing is None else preprocessing
                ),
                labels=checked_labels(labels),
                weights_sha256=state_sha256(module),
            )

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


def _usual_preprocessing(module: nn.Module) -> networks.Preprocessing:
    config = getattr(module, "pretrained_cfg", None)
    if isinstance(config, dict) and {"input_size", "mean", "std"} <= config.keys():
        return timm_hub.preprocessing_of(config)
    return networks.Preprocessing(224, torchvision_hub.IMAGENET_MEAN, torchvision_hub.IMAGENET_STD)
