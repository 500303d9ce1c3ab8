"""Whether units of the same class, in two networks, find each other by the likeness of their pictures."""

import torch
from torch import Tensor


def found(ours: Tensor, theirs: Tensor, among: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """Embeddings [N, D] of two networks' pictures of the same N classes → by rank, the share of classes whose
    picture has the other network's among its nearest so many; mean of both ways."""
    likeness = ours @ theirs.T
    ranks = torch.cat([(way > way.diagonal()[:, None]).sum(1) for way in (likeness, likeness.T)])
    return {f"top{count}": float((ranks < count).float().mean()) for count in among}
