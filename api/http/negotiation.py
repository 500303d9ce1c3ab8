"""Content negotiation: a 406 problem where `Accept` excludes what an operation answers with."""

import re
from collections.abc import Collection

from flask import request

from api.problems import problem_types
from api.problems.problems import Problem


def check_acceptable(offered: Collection[str]) -> None:
    """Raises the 406 problem where `Accept` takes none of these media types. Parameters of types, such as
    `charset`, are not looked at. Where nothing is offered the answer has no body, and every `Accept` will do.
    """
    if not offered:
        return
    accepted = dict(map(_range, request.headers.get("Accept", "").split(",")))
    accepted.pop("", None)
    if accepted and not any(_quality(accepted, media_type) > 0 for media_type in offered):
        detail = f"This is served as {' or '.join(sorted(offered))}; Accept asks for {', '.join(accepted)}."
        raise Problem(problem_types.NOT_ACCEPTABLE, detail)


def prefers(media_type: str, instead_of: str) -> bool:
    """Whether `Accept` asks for a media type rather than for another; what is not named has no preference."""
    accepted = dict(map(_range, request.headers.get("Accept", "").split(",")))
    return media_type in accepted and _quality(accepted, media_type) > _quality(accepted, instead_of)


def _range(text: str) -> tuple[str, float]:
    """A media range with its quality; 1 where it has none that can be read. Werkzeug's reader drops ranges
    such as `*; q=.2`, which Java sends by itself.
    """
    media_type, *parameters = (piece.strip().lower() for piece in text.split(";"))
    given = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    return media_type, float(given) if re.fullmatch(r"\d?(\.\d{0,3})?", given) and given.strip(".") else 1.0


def _quality(accepted: dict[str, float], media_type: str) -> float:
    """As the most specific range that names the type says."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*", "*")
    return next((accepted[range] for range in ranges if range in accepted), 0)
