"""Candidates: several seeds of a unit, of which the best is shown.

Each is a picture of its own seed, whatever the number of candidates; which is the best follows from their
scores (`imago_engine.synthesis.scoring`).
"""

from collections.abc import Sequence

MOST_CANDIDATES = 8
SEED_STEP = 10_001
"""Between the seeds of two candidates. Not a multiple of 16, so that they begin at different prototypes."""


def candidate_seeds(seed: int, count: int) -> range:
    """The seeds of an item's candidates, itself the first: more candidates have those of fewer.

    No two items whose seeds differ by less than `SEED_STEP` share one.
    """
    return range(seed, seed + count * SEED_STEP, SEED_STEP)


def best_first(scores: Sequence[float | None]) -> list[int]:
    """The numbers of candidates, the best first. What has no score comes last; of equals the earlier is the
    better.
    """

    def rank(number: int) -> tuple[bool, float]:
        score = scores[number]
        return score is None, 0.0 if score is None else -score

    return sorted(range(len(scores)), key=rank)
