"""Where the activations of many pictures stand among those of real ones, read at once."""

from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.exemplars.quantiles import percentile

# Of several scans the newest that watched the unit; the same rule as `found.UnitStatistics.percentile`.
_OF_PICTURES = text("""
    SELECT v.digest, v.activation, s.quantiles, s.usual_quantiles
    FROM visualizations v
    JOIN networks n ON n.id = v.network_id
    JOIN recipes r ON r.digest = v.recipe_digest
    CROSS JOIN LATERAL (
        SELECT u.quantiles, u.usual_quantiles, u.counted, c.request
        FROM scans c JOIN unit_statistics u ON u.scan_no = c.no
        WHERE c.network_id = v.network_id AND c.network_sha256 = v.network_sha256 AND c.state = 'succeeded'
        AND u.layer = v.layer AND u.unit = v.unit
        ORDER BY c.no DESC LIMIT 1
    ) s
    WHERE v.digest = ANY(CAST(:digests AS text[])) AND v.activation IS NOT NULL
    AND v.position_y IS NULL AND v.token IS NULL AND s.counted > 0
    AND coalesce(r.parameters ->> 'input_size', n.preprocessing ->> 'size')
        IS NOT DISTINCT FROM s.request ->> 'input_size'
""")
_ANY_SCAN = text("""
    SELECT EXISTS (
        SELECT FROM scans WHERE state = 'succeeded'
        AND (CAST(:networks AS text[]) IS NULL OR network_id = ANY(CAST(:networks AS text[])))
    )
""")
_OF_UNITS = text("""
    SELECT wanted.unit, s.quantiles FROM unnest(CAST(:units AS int[])) AS wanted (unit)
    CROSS JOIN LATERAL (
        SELECT u.quantiles FROM scans c JOIN unit_statistics u ON u.scan_no = c.no
        JOIN networks n ON n.id = c.network_id AND n.spec_sha256 = c.network_sha256
        WHERE c.network_id = :network AND c.state = 'succeeded' AND u.layer = :layer AND u.unit = wanted.unit
        AND u.counted > 0 AND (c.request ->> 'input_size') = (n.preprocessing ->> 'size')
        ORDER BY c.no DESC LIMIT 1
    ) s
""")


def any_scan(session: Session, networks: Collection[str] | None) -> bool:
    """Whether pictures of any of these networks, of all for None, may have a percentile."""
    named = None if networks is None else list(networks)
    return bool(session.execute(_ANY_SCAN, {"networks": named}).scalar_one())


def of_pictures(session: Session, digests: Collection[str]) -> dict[str, float]:
    """Of 100 real pictures so many excite the unit less than this one, by digest; those of which it is not
    known are left out."""
    if not digests:
        return {}
    rows = session.execute(_OF_PICTURES, {"digests": list(digests)})
    return {
        row.digest: percentile(
            row.activation, row.quantiles if row.usual_quantiles is None else row.usual_quantiles
        )
        for row in rows
    }


def of_responses(
    session: Session, network: str, layer: str, responses: Sequence[tuple[int, float]]
) -> dict[int, float]:
    """The same of units' greatest responses anywhere in a picture, by unit, among the greatest of real
    pictures."""
    asked = {"network": network, "layer": layer, "units": [unit for unit, _ in responses]}
    known = {row.unit: row.quantiles for row in session.execute(_OF_UNITS, asked)}
    return {unit: percentile(response, known[unit]) for unit, response in responses if unit in known}
