"""`imago map`."""

from pathlib import Path
from typing import Annotated

import typer

from imago.atlases.atlas_map import AtlasMap
from imago.cli.commands.atlases import AtlasId
from imago.cli.session import JsonFlag, session_of
from imago.errors import ImagoError
from imago.files import write_whole


def show_map(
    context: typer.Context,
    id: AtlasId,
    version: Annotated[
        str, typer.Option("--version", metavar="NUMBER", help="A version, open, or the latest.")
    ] = "latest",
    make: Annotated[
        bool, typer.Option("--make", help="Have it made, and wait, where it is not there or out of date.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.csv", help="Write layer, unit, x and y of each unit."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the map of an atlas: what its regions are seen as, and where its units lie.

    imago map atl_… --make --out map.csv
    """
    session = session_of(context, as_json)
    map = session.client.atlases.get(id).map(version)
    if make and not map.current:
        map.make().wait(current=True)
    if out is not None and not map.made:
        raise ImagoError(_lacking(map, id))
    if out is not None:
        rows = ["layer,unit,x,y\n"]
        rows += [f'"{at.layer}",{at.unit},{at.x:.6f},{at.y:.6f}\n' for at in map.points()]
        write_whole(out, "".join(rows).encode())
    if session.as_json:
        session.emit(map.raw)
        return
    if not map.made:
        session.say(_lacking(map, id))
        return
    facts = map.facts
    about = "" if map.current else f" (of {facts['pictures']} pictures; there are {map.raw['pictures']} now)"
    session.say(f"Version {map.raw['version']}: {facts['units']} units of {len(map.layers)} layers{about}")
    session.table(
        ["REGION", "UNITS", "OF", "X", "Y"],
        [(each.label, each.units, each.of, f"{each.x:.2f}", f"{each.y:.2f}") for each in map.labels[0]],
    )


def _lacking(map: AtlasMap, id: str) -> str:
    """That there is none, and what to do."""
    number = map.raw["version"]
    what = "it is being made." if map.coming else f"imago map {id} --version {number} --make has it made."
    return f"There is no map of version {number} yet: {map.raw['problem'] or what}"
