"""The design system, shown by itself: every component once, with what it is for."""

import math

from flask import Response

from api.web.site import blueprint, page

STATES = (
    *("queued", "leased", "done", "failed", "unreachable", "dead", "canceled"),
    *("paused", "building", "private"),
)
SCHEMA = {
    "steps": {"type": "integer", "minimum": 1, "maximum": 2000, "default": 60, "description": "Of ascent."},
    "zoom": {"type": "number", "default": 1.6, "description": "How far views are magnified, from `1`."},
    "precision": {"enum": ["float32", "bfloat16"], "default": "bfloat16", "description": "Of a step."},
    "flip": {"type": "boolean", "default": True, "description": "Whether views are mirrored."},
}


@blueprint.get("/design")
def design() -> Response:
    """Every component."""
    trace = [41.2 * (1 - math.exp(-step / 12)) + 0.4 * math.sin(step) for step in range(60)]
    return page("design/design.html", states=STATES, schema=SCHEMA, trace=trace)
