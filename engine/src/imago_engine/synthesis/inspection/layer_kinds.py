"""What people call a layer by what it computes."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from imago_engine.synthesis.networks.truncate import is_activation


def layer_kind(module: nn.Module) -> str:
    """conv, linear, norm, activation, pool, block (a module of several) or other."""
    name = type(module).__name__
    if isinstance(module, _ConvNd):
        return "conv"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _NormBase | nn.GroupNorm | nn.LayerNorm | nn.LocalResponseNorm):
        return "norm"
    if is_activation(module):
        return "activation"
    if "Pool" in name:
        return "pool"
    return "block" if next(module.children(), None) is not None else "other"
