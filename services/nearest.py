"""What there is instead of a name that is not known."""

import difflib

import sqlalchemy as sa
from sqlalchemy.orm import Session


def instead(session: Session, names: sa.Select[str], wrong: str, introduction: str) -> str:
    """A sentence with the names nearest to the wrong one, or nothing where there are no names."""
    known = list(session.scalars(names.limit(5000)))
    near = difflib.get_close_matches(wrong, known, n=5, cutoff=0.4) or sorted(known)[:5]
    return f"{introduction}: {', '.join(near)}{', …' if len(known) > len(near) else ''}." if near else ""
