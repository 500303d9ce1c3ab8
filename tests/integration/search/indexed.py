"""Pictures with embeddings that a test chooses: what a unit's picture looks like is a direction."""

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from imago_engine.weights import DIMENSIONS, EYE
from services.base.database import Database
from services.queue import batches
from tests.integration.staging import claim_if_any, picture

PNG = b"\x89PNG\r\n\x1a\n"
"""What the first bytes of a photograph may be."""


def direction(name: str, spread: float = 0.0, near: Sequence[float] | None = None) -> list[float]:
    """A vector of length 1 that a name stands for; with `near` one close to that."""
    draw = random.Random(name)
    noise = [draw.gauss(0, 1) for _ in range(DIMENSIONS)]
    start = [0.0] * DIMENSIONS if near is None else near
    scale = 1.0 if near is None else spread
    vector = [a + scale * b for a, b in zip(start, noise, strict=True)]
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def work_off(
    database: Database,
    vectors: Mapping[int, Sequence[float]],
    predictions: Mapping[int, list[Any]] | None = None,
) -> int:
    """Finish whatever waits, as a worker does, each unit's picture with its vector if it has one."""
    made = 0
    while (claimed := claim_if_any(database)) is not None:
        results = []
        for work in claimed.items:
            vector = vectors.get(work.unit)
            said = (predictions or {}).get(work.unit, [[7, 0.5]])
            results.append(
                replace(
                    picture(work.digest),
                    predictions=said,
                    eye=None if vector is None else EYE,
                    embedding=vector,
                )
            )
        with database.session() as session:
            made += len(batches.conclude(session, claimed.lease_id, finished=results))
    return made


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
