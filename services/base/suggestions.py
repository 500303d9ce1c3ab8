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
_LONGEST = 200
"""Characters of a wrong name that are compared. Anybody may send one, and the time that this takes grows with
their square."""
_COMPARED = 64
"""Names that are compared in full: those that have the most letters and parts of the wrong one."""


def did_you_mean(session: Session, names: sa.Select[str], wrong: str, introduction: str) -> str:
    """A sentence with the names nearest to the wrong one, or nothing where there are no names."""
    known = list(session.scalars(names.limit(5000)))
    near = nearest(wrong, known)
    return f"{introduction}: {', '.join(near)}{', …' if len(known) > len(near) else ''}." if near else ""


def nearest(wrong: str, known: Sequence[str], limit: int = 5) -> Sequence[str]:
    """The names most like the wrong one, the likest first; of equals those that come first in `known`.

    Names are dotted: parts that are the same count for more than letters do.
    """
    wrong = wrong[:_LONGEST].lower()
    parts = set(_parts(wrong))
    matcher = difflib.SequenceMatcher(b=wrong, autojunk=False)
    lowered = [name.lower() for name in known]
    shared = [len(parts & set(_parts(name))) / max(len(parts), 1) for name in lowered]

    def likeness_at_most(index: int) -> float:
        matcher.set_seq1(lowered[index])
        return matcher.quick_ratio() + shared[index]

    def likeness(index: int) -> float:
        matcher.set_seq1(lowered[index])
        return matcher.ratio() + shared[index]

    compared = sorted(range(len(known)), key=likeness_at_most, reverse=True)[:_COMPARED]
    return [known[index] for index in sorted(sorted(compared), key=likeness, reverse=True)[:limit]]


def means_output(wrong: str) -> bool:
    """Whether somebody who writes this probably means a network's output layer."""
    word = wrong.lower().strip("_. ")
    return word in _OUTPUT_WORDS or bool(difflib.get_close_matches(word, ("output", "logits"), 1, cutoff=0.7))


def _parts(name: str) -> list[str]:
    return name.replace("/", ".").replace("_", ".").split(".")
