"""Telling a device that has run out from a network that does not run."""

import torch


def is_exhaustion(error: BaseException) -> bool:
    """Whether memory or the device failed, which says nothing of the network."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
