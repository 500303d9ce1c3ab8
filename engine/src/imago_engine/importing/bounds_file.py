"""The bounds files of DGN-AM's authors: per code neuron, the mean plus some multiples of the standard
deviation.

Their files hold one line of whole numbers (`act_range/3x/fc6.txt`: 4096 of them, for k = 3); any white space
separated numbers do.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from imago_engine.importing.errors import GeneratorImportError


def read_bounds(path: Path, code_shape: tuple[int, ...]) -> Tensor:
    """Upper bounds, float32 of shape `code_shape`. A spatial code may have one number a channel, used at
    every place.

    Raises `GeneratorImportError` for another count, for what is no number, and for negative or infinite
    bounds.
    """
    try:
        words = path.read_text("utf-8").replace(",", " ").split()
    except (OSError, UnicodeDecodeError) as error:
        raise GeneratorImportError(f"{path.name} is no readable bounds file: {error}") from error
    values = []
    for i, word in enumerate(words, 1):
        try:
            value = float(word)
        except ValueError:
            raise GeneratorImportError(
                f"{path.name}: number {i} is {word[:40]!r}, expected an integer or a decimal number"
            ) from None
        if not math.isfinite(value) or value < 0:
            raise GeneratorImportError(
                f"{path.name}: number {i} is {word}, expected a finite bound of at least 0"
            )
        values.append(value)
    channels, neurons = code_shape[0], math.prod(code_shape)
    if len(values) == neurons:
        return torch.tensor(values, dtype=torch.float32).reshape(code_shape)
    if len(values) == channels:
        per_channel = torch.tensor(values, dtype=torch.float32).reshape(-1, *(1 for _ in code_shape[1:]))
        return per_channel.expand(code_shape).contiguous()
    expected = (
        f"{neurons}" if channels == neurons else f"{neurons} (one a neuron) or {channels} (one a channel)"
    )
    raise GeneratorImportError(
        f"{path.name}: expected {expected} numbers for codes of shape {list(code_shape)}, got {len(values)}"
    )
