"""Losses with Caffe's reductions: they decide what a published weight means."""

import torch
import torch.nn.functional as F
from torch import Tensor


def euclidean_loss(a: Tensor, b: Tensor) -> Tensor:
    """Caffe's EuclideanLoss: Σ(a − b)² / 2N, a sum over everything but the batch; not a mean."""
    return (a - b).square().sum() / (2 * len(a))


def softmax_loss(logits: Tensor, label: int) -> Tensor:
    """Caffe's SoftmaxWithLoss for logits [N, 2] that should all have the same label: the mean over N."""
    return F.cross_entropy(logits, torch.full((len(logits),), label, device=logits.device))
