"""'Did you mean' suggestions for names that are not known."""

import difflib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

_OUTPUT_WORDS = (
    *("output", "outputs", "out", "logits", "logit", "class", "classes", "predict", "prediction"),
    *("predictions", "prob", "probs", "probabilities", "softmax", "score", "scores", "final", "last", "top"),
    *("fc", "head", "classifier"),
)
"""What people call the layer that gives one number a class, in other networks and libraries."""


def did_you_mean(session: Session, names: sa.Select[str], wrong: str, introduction: str) -> str:
    """A sentence with the names nearest to the wrong one, or nothing where there are no names."""
    known = list(session.scalars(names.limit(5000)))
    near = nearest(wrong, known)
    return f"{introduction}: {', '.join(near)}{', …' if len(known) > len(near) else ''}." if near else ""


def nearest(wrong: str, known: Sequence[str], limit: int = 5) -> Sequence[str]:
    """The names most like the wrong one, the likest first; of equals those that come first in `known`.

    Names are dotted: parts that are the same count for more than letters do.
    """
    parts = set(_parts(wrong))
    matcher = difflib.SequenceMatcher(b=wrong.lower(), autojunk=False)

    def likeness(name: str) -> float:
        matcher.set_seq1(name.lower())
        shared = len(parts & set(_parts(name))) / max(len(parts), 1)
        return matcher.ratio() + shared

    return sorted(known, key=likeness, reverse=True)[:limit]


def means_output(wrong: str) -> bool:
    """Whether somebody who writes this probably means a network's output layer."""
    word = wrong.lower().strip("_. ")
    return word in _OUTPUT_WORDS or bool(difflib.get_close_matches(word, ("output", "logits"), 1, cutoff=0.7))


def _parts(name: str) -> list[str]:
    return name.lower().replace("/", ".").replace("_", ".").split(".")
