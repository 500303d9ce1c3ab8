"""Where the activations of pictures stand among those of real ones, the only place that tells what may be
compared with what.

A picture stands among the photographs of a scan that the network saw at the same size. One of another size
does where the unit sees a part that lies within both, away from their edges: its response is then that to a
window of pixels, however much lies around it. So pictures of early layers, which are hardly larger than what
their units see, stand among photographs of any size. (What the network computes of a whole picture, as
squeeze-and-excitation does, comes from each picture's own whole, at equal sizes as at others.)

Both are of the very same network. A picture made before it changed stands among the photographs of scans
that were made before, at its own size alone, since what its layers are now tells nothing of then.

Of several scans the newest of the same size counts, else the newest that may be compared.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from imago_engine.exemplars.quantiles import percentile
from imago_engine.techniques.automatic import MARGIN
from services.catalog.layers import Layer

# `lies_within` says the same of a layer.
_OF_PICTURES = text("""
    SELECT v.digest, v.activation, s.quantiles, s.usual_quantiles, s.counted
    FROM visualizations v
    JOIN networks n ON n.id = v.network_id
    JOIN recipes r ON r.digest = v.recipe_digest
    LEFT JOIN layers l ON l.network_id = v.network_id AND l.name = v.layer AND l.is_current
        AND l.height IS NOT NULL AND n.spec_sha256 = v.network_sha256
    CROSS JOIN LATERAL (
        SELECT CAST(coalesce(r.parameters ->> 'input_size', n.preprocessing ->> 'size') AS int) AS size
    ) AS picture
    CROSS JOIN LATERAL (
        SELECT u.quantiles, u.usual_quantiles, u.counted
        FROM scans c JOIN unit_statistics u ON u.scan_no = c.no
        CROSS JOIN LATERAL (SELECT CAST(c.request ->> 'input_size' AS int) AS size) AS photograph
        WHERE c.network_id = v.network_id AND c.network_sha256 = v.network_sha256 AND c.state = 'succeeded'
        AND u.layer = v.layer AND u.unit = v.unit AND u.counted > 0
        AND (
            picture.size = photograph.size
            OR l.receptive_field + :margin * l.stride <= least(picture.size, photograph.size)
        )
        ORDER BY picture.size = photograph.size DESC, c.no DESC LIMIT 1
    ) s
    WHERE v.digest = ANY(CAST(:digests AS text[])) AND v.activation IS NOT NULL
    AND v.position_y IS NULL AND v.token IS NULL
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
        AND u.counted > 0 AND CAST(c.request ->> 'input_size' AS int) = :size
        ORDER BY c.no DESC LIMIT 1
    ) s
""")
_NEWEST_SIZE = text("""
    SELECT CAST(c.request ->> 'input_size' AS int) FROM scans c
    JOIN networks n ON n.id = c.network_id AND n.spec_sha256 = c.network_sha256
    WHERE c.network_id = :network AND c.state = 'succeeded'
    AND EXISTS (SELECT FROM unit_statistics u WHERE u.scan_no = c.no AND u.layer = :layer)
    ORDER BY c.no DESC LIMIT 1
""")


@dataclass(frozen=True)
class Standing:
    """Of 100 of so many real pictures `percentile` excite the unit less."""

    percentile: float
    pictures: int


def lies_within(layer: Layer, size: int) -> bool:
    """Whether a unit of the layer, at its usual place, sees a part of an input of so many pixels a side that
    is away from its edges."""
    field, stride = layer.receptive_field, layer.stride
    return (
        layer.is_current
        and layer.spatial is not None
        and field is not None
        and stride is not None
        and field + MARGIN * stride <= size
    )


def any_scan(session: Session, networks: Collection[str] | None) -> bool:
    """Whether pictures of any of these networks, of all for None, may have a percentile."""
    named = None if networks is None else list(networks)
    return bool(session.execute(_ANY_SCAN, {"networks": named}).scalar_one())


def standings(session: Session, digests: Collection[str]) -> dict[str, Standing]:
    """Where pictures stand, by digest; those of which it is not known are left out."""
    if not digests:
        return {}
    rows = session.execute(_OF_PICTURES, {"digests": list(digests), "margin": MARGIN})
    return {
        row.digest: Standing(
            percentile(row.activation, row.quantiles if row.usual_quantiles is None else row.usual_quantiles),
            row.counted,
        )
        for row in rows
    }


def of_pictures(session: Session, digests: Collection[str]) -> dict[str, float]:
    """Of 100 real pictures so many excite the unit less than this one, by digest; those of which it is not
    known are left out."""
    return {digest: found.percentile for digest, found in standings(session, digests).items()}


def of_picture(session: Session, digest: str) -> float | None:
    """The same of one picture, None where it is not known."""
    return of_pictures(session, [digest]).get(digest)


def size_of_photographs(session: Session, network: str, layer: str) -> int | None:
    """Side of the input at which the newest scan that watched a layer saw its pictures; None without one.
    What is seen at this size can be compared with them."""
    size: int | None = session.execute(_NEWEST_SIZE, {"network": network, "layer": layer}).scalar()
    return size


def of_responses(
    session: Session, network: str, layer: str, responses: Sequence[tuple[int, float]], *, input_size: int
) -> dict[int, float]:
    """The same of units' greatest responses anywhere in a picture that was seen at this size, by unit, among
    the greatest of real pictures."""
    asked = {"network": network, "layer": layer, "size": input_size, "units": [unit for unit, _ in responses]}
    known = {row.unit: row.quantiles for row in session.execute(_OF_UNITS, asked)}
    return {unit: percentile(response, known[unit]) for unit, response in responses if unit in known}
