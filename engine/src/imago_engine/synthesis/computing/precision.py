"""In which type of numbers a recipe's steps are computed on a device."""

import torch

from imago_engine.techniques.dgn_am import Precision

_BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16")
"""Of x86. Other processors compute in float32: on none of them was a gain measured."""


def dtype_for(precision: Precision, device: torch.device) -> torch.dtype:
    """The type for steps of a precision: bfloat16 where the recipe allows it and the device has units for it.

    Others would be several times slower in bfloat16 than in float32, which is more exact.
    """
    if precision == "bfloat16" and has_bfloat16_units(device):
        return torch.bfloat16
    return torch.float32


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 faster than those of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(unit)) for unit in _BFLOAT16_UNITS)
