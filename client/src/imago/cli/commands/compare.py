"""`imago compare`: two atlases side by side."""

from pathlib import Path
from typing import Annotated

import typer

from imago.cli.session import JsonFlag, Limit, session_of
from imago.errors import InvalidRequest
from imago.search.comparison import HEADINGS, ComparedUnit, row_of

_Atlas = Annotated[
    str, typer.Argument(metavar="ATLAS[@VERSION]", help="An atlas: the latest version, unless one is named.")
]


def compare(
    context: typer.Context,
    a: _Atlas,
    b: _Atlas,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="LAYER", help="List its units, the most changed first.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="FILE", help="Save a JPEG of that layer's most changed units."),
    ] = None,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """Compare two atlases layer by layer, such as those of two checkpoints or recipes.

    imago compare atl_01…@1 atl_02… --layer blocks.4.0 --sheet changed.jpg
    """
    session = session_of(context, as_json)
    if sheet is not None and layer is None:
        raise InvalidRequest("--sheet needs --layer: it shows the units of one.")
    found = session.client.compare(a, b)
    if not found.made:
        session.remark("Workers compare them; Ctrl-C leaves them to it.")
        found.wait()
    if sheet is not None and layer is not None:
        session.remark(f"Saved {found.save_sheet(layer, sheet)}.")
    if layer is not None:
        session.listing(
            list(found.units(layer, limit=limit)),
            ["UNIT", "DISTANCE", "ACTIVATION", "SEEN AS", "PICTURE", "THE OTHER'S"],
            _unit,
        )
        return
    if session.as_json:
        session.emit(found.raw)
        return
    session.table(HEADINGS, [row_of(each) for each in found.layers])
    for each in found.unmatched:
        session.say(f"{each['layer']}: {each['reason']}")
    if not found.current:
        session.remark("It tells of an earlier state: workers are comparing anew.", "yellow")


def _unit(found: ComparedUnit) -> tuple[object, ...]:
    a, b = found.a, found.b
    seen = a["label"] if found.same_label else f"{a['label'] or '?'} → {b['label'] or '?'}"
    return (
        found.unit if found.label is None else f"{found.unit} {found.label}",
        f"{found.distance:.3f}",
        f"{_number(a['activation'])} → {_number(b['activation'])}",
        seen,
        a["digest"][:12],
        b["digest"][:12],
    )


def _number(activation: float | None) -> str:
    return "?" if activation is None else f"{activation:.3g}"
