"""Codes of pictures, reduced to what an ascent can reach."""

import torch
from torch import Tensor

from imago_engine.synthesis.generators.prior import CodePrior


class ReachableCodes:
    """The nearest code to a picture's own among those that an ascent can find: a point along the principal
    directions.

    Long codes say more about their picture than directions can. A generator that met only whole codes draws
    what an ascent finds, whose details are the mean of many codes, worse than it could.
    """

    def __init__(self, prior: CodePrior, scale: Tensor, device: torch.device) -> None:
        axes = (prior.axes / scale).flatten(1)  # [R, D], in σ of each code neuron, as errors are counted
        self._inverse = torch.linalg.pinv(axes).to(device)  # [D, R]
        self._axes = axes.to(device)

    def nearest(self, standard: Tensor) -> Tensor:
        """Standardised codes [N, *code_shape] → the same of the reachable codes."""
        points = standard.flatten(1) @ self._inverse  # [N, D] → [N, R]
        reached: Tensor = points @ self._axes  # [N, D]
        return reached.view_as(standard)
