"""Mean and standard deviation of every code neuron over real pictures: the limits of an ascent."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class CodeStatistics:
    """Each float32 [*code_shape]; `lower` is 0 for neurons that were never negative (a ReLU's) and μ − 3σ for
    the others.
    """

    mean: Tensor
    std: Tensor
    lower: Tensor
    count: int


class StatisticsOfCodes:
    """Gathers statistics batch by batch, in float64."""

    def __init__(self, code_shape: tuple[int, ...]) -> None:
        self._sum, self._squares = np.zeros(code_shape), np.zeros(code_shape)
        self._least = np.full(code_shape, np.inf)
        self._count = 0

    def add(self, codes: np.ndarray) -> None:
        """Codes [N, *code_shape]."""
        wide = codes.astype(np.float64)
        self._sum += wide.sum(axis=0)
        self._squares += (wide**2).sum(axis=0)
        self._least = np.minimum(self._least, wide.min(axis=0))
        self._count += len(codes)

    def result(self) -> CodeStatistics:
        if self._count < 2:
            raise ValueError(f"statistics need at least 2 codes, got {self._count}")
        mean = self._sum / self._count
        std = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0))
        lower = np.where(self._least >= 0, 0.0, mean - 3 * std)
        mean32, std32, lower32 = (torch.from_numpy(a.astype(np.float32)) for a in (mean, std, lower))
        return CodeStatistics(mean32, std32, lower32, self._count)


def statistics_of(codes: np.ndarray, chunk: int = 4096) -> CodeStatistics:
    """Statistics of an array of codes [N, *code_shape], which may be mapped from disk."""
    gathered = StatisticsOfCodes(codes.shape[1:])
    for start in range(0, len(codes), chunk):
        gathered.add(codes[start : start + chunk])
    return gathered.result()
