"""How much a layer has changed, in numbers, once all its units were compared."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the quantiles of the distance."""
# One pass over all units of a layer, by a worker: its time grows with the layer.
_UNLIMITED = text("SET LOCAL statement_timeout = 0")
_FIGURES = text("""
    SELECT count(*) AS matched, count(*) FILTER (WHERE a_digest = b_digest) AS equal,
        avg(distance) AS mean,
        percentile_cont(CAST(:levels AS float[])) WITHIN GROUP (ORDER BY distance) AS quantiles,
        count(*) FILTER (WHERE a_activation IS NOT NULL AND b_activation IS NOT NULL) AS activated,
        avg(a_activation) FILTER (WHERE b_activation IS NOT NULL) AS a_activation,
        avg(b_activation) FILTER (WHERE a_activation IS NOT NULL) AS b_activation,
        count(*) FILTER (WHERE a_percentile IS NOT NULL AND b_percentile IS NOT NULL) AS ranked,
        avg(a_percentile) FILTER (WHERE b_percentile IS NOT NULL) AS a_percentile,
        avg(b_percentile) FILTER (WHERE a_percentile IS NOT NULL) AS b_percentile,
        count(same_label) AS labelled, count(*) FILTER (WHERE same_label) AS same
    FROM compared_units WHERE comparison = :no AND layer = :layer
""")


def of_layer(session: Session, no: int, ordinal: int) -> dict[str, Any]:
    """Counts, means and quantiles over the compared units of a layer."""
    session.execute(_UNLIMITED)
    row = session.execute(_FIGURES, {"no": no, "layer": ordinal, "levels": list(LEVELS)}).one()
    return {**row._mapping, "quantiles": row.quantiles or None}
