"""Place vectors in the unit square by UMAP, so that those of similar directions lie together.

UMAP is fitted to at most `FITTED` of them, and told their exact nearest neighbours: its own search is
approximate and has to be compiled by each process, for longer than finding them takes. Each of the others is
placed at the mean of the places of those fitted vectors that it is most similar to. The same vectors get the
same places: seed and order are fixed, and the process has one thread.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

FITTED = 50_000
"""Vectors that UMAP is fitted to at most, which bounds its time and memory."""
NEIGHBOURS = 15
"""UMAP's `n_neighbors`; fewer vectors than that are placed by their principal components alone."""
_NEAREST = 5
"""Fitted vectors at whose mean place a vector lies that was not fitted."""
_AT_ONCE = 512
_SEED = 0
_MARGIN = 0.01
Floats = npt.NDArray[np.floating]


def shuffled(count: int) -> npt.NDArray[np.intp]:
    """A fixed random order: the first vectors of it are a fair sample of all."""
    return np.random.default_rng(_SEED).permutation(count)


def places(vectors: Floats, *, fitted: int = FITTED) -> npt.NDArray[np.float32]:
    """n x 2 numbers between 0 and 1, of n x d in an order without meaning: the first `fitted` are the sample.

    `vectors` may be a file that is mapped into memory.
    """
    some = np.asarray(vectors[:fitted], dtype=np.float32)
    placed = _fit(some)
    if len(vectors) > len(some):
        placed = np.concatenate([placed, _beside(some, placed, vectors[len(some) :])])
    return _squared(placed)


def _fit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if len(vectors) < NEIGHBOURS:
        return _principal(vectors)
    import umap  # slow: numba compiles parts of it that are not in its cache

    with warnings.catch_warnings():
        # That it could place no other vectors by neighbours that it did not search for itself.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]")
        mapper = umap.UMAP(
            n_neighbors=NEIGHBOURS,
            metric="cosine",
            init=_principal(vectors),
            random_state=_SEED,
            n_jobs=1,
            precomputed_knn=(*neighbours(vectors), None),
        )
        return np.asarray(mapper.fit_transform(vectors), dtype=np.float32)


def neighbours(
    vectors: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Indices of the `NEIGHBOURS` nearest vectors of each and their cosine distances, both n x NEIGHBOURS and
    nearest first. The vector itself is one of them, as for UMAP, unless as many others lie in its direction.
    """
    indices = np.empty((len(vectors), NEIGHBOURS), dtype=np.int32)
    distances = np.empty(indices.shape, dtype=np.float32)
    for start, near, similarities in _most_similar(vectors, vectors, NEIGHBOURS):
        rows = np.arange(start, start + len(near))[:, None]
        # Its distance from itself is to be 0 and no rounding error, which UMAP would take for a neighbour's.
        similarities = np.where(near == rows, np.inf, similarities)
        order = np.argsort(-similarities, axis=1, kind="stable")
        indices[rows[:, 0]] = np.take_along_axis(near, order, axis=1)
        distances[rows[:, 0]] = np.maximum(1 - np.take_along_axis(similarities, order, axis=1), 0)
    return indices, distances


def _principal(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The first two principal components, scaled to at most 10: the places that UMAP begins with, and the
    final ones of very few vectors."""
    around = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(around.T @ around)
    axes = directions[:, ::-1][:, :2]
    # Which way an axis points is arbitrary: the way of its largest part.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    placed = around @ axes
    return np.asarray(10 * placed / max(float(np.abs(placed).max()), 1e-9), dtype=np.float32)


def _beside(
    fitted: npt.NDArray[np.float32], placed: npt.NDArray[np.float32], others: Floats
) -> npt.NDArray[np.float32]:
    found = np.empty((len(others), 2), dtype=np.float32)
    nearest = min(_NEAREST, len(fitted))
    for start, near, _ in _most_similar(others, fitted, nearest):
        found[start : start + len(near)] = placed[near].mean(axis=1)
    return found


def _most_similar(
    vectors: Floats, among: npt.NDArray[np.float32], count: int
) -> Iterator[tuple[int, npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
    """For some vectors at a time: where they begin, and for each the `count` vectors of `among` whose
    directions are most like its own, in no order, with these cosines."""
    directions = _directions(among)
    for start in range(0, len(vectors), _AT_ONCE):
        some = _directions(np.asarray(vectors[start : start + _AT_ONCE], dtype=np.float32))
        cosines = some @ directions.T  # at most _AT_ONCE x n
        near = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        yield start, near, np.take_along_axis(cosines, near, axis=1)


def _directions(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def _squared(placed: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scaled into the unit square with a margin, without distortion; a single place becomes the centre."""
    low, high = placed.min(axis=0), placed.max(axis=0)
    extent = float((high - low).max())
    middle = (low + high) / 2
    scale = (1 - 2 * _MARGIN) / extent if extent > 0 else 0.0
    return np.asarray((placed - middle) * scale + 0.5, dtype=np.float32)
