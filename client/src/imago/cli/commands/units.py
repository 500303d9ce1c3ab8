"""`imago unit`: a unit's best picture beside the real pictures that excite it most."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from imago.cli.numbers import counted
from imago.cli.session import JsonFlag, session_of
from imago.errors import NotFound
from imago.exemplars.exemplar import Exemplar, UnitStatistics
from imago.files import write_whole

_LEVELS = (0.01, 0.1, 0.5, 0.9, 0.99, 1.0)


def unit(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NETWORK/LAYER/UNIT", help="One unit.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", file_okay=False, help="Write its picture and its exemplars there."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a unit: its pictures, and the real ones that excite it most.

    imago unit efficientnet_lite0.imagenet/output/207 --out 207
    """
    session = session_of(context, as_json)
    unit = session.client.unit(name)
    try:
        found = unit.exemplars()
    except NotFound:
        if unit.refresh().statistics is not None:
            raise
        found = []
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        if unit.pictures:
            write_whole(out / "picture.png", unit.image_bytes())
        for each in found:
            write_whole(out / f"exemplar-{each.rank}.webp", each.image_bytes())
    if session.as_json:
        session.emit({**unit.raw, "exemplars": [each.raw for each in found]})
        return
    label = f" ({unit.label})" if unit.label else ""
    session.say(f"{unit.network}/{unit.layer}/{unit.number}{label}: {counted(unit.pictures, 'picture')}")
    for picture in unit.raw["visualizations"]:
        if picture["activation"] is not None:
            more = picture.get("percentile")
            beyond = "" if more is None else f", more than {more:.4g} % of real pictures"
            session.say(f"  {picture['digest'][:12]} activation {picture['activation']:.4g}{beyond}")
    if unit.statistics is None:
        session.remark(f"No real pictures were scanned: imago exemplars {unit.network} SOURCES")
        return
    _tell(session.say, unit.statistics, found)
    if out is not None:
        session.remark(f"The pictures are in {out}.")


def _tell(say: Callable[[str], None], known: UnitStatistics, found: list[Exemplar]) -> None:
    say(f"Of {known.pictures:,} real pictures {known.non_zero:.1%} excite it anywhere.")
    at = dict(known.strongest_place)
    told = ", ".join(f"{share:.0%} {at[share]:.4g}" for share in _LEVELS if share in at)
    say(f"  at their strongest place: {told}")
    for each in found:
        say(f"  {each.rank + 1}. {each.activation:.4g} {each.picture}")
