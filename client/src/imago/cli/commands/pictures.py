"""`imago get`: pictures as files, or as one contact sheet."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imago.cli.exit_codes import ExitCode
from imago.cli.session import JsonFlag, Session, session_of
from imago.cli.shortened import shortened
from imago.client import Client
from imago.errors import ImagoError, InvalidRequest, NotFound
from imago.files import write_whole
from imago.jobs import Job
from imago.records import Layer
from imago.saving import Lost, Outcome, Saved, concerns_one_picture, save_all, save_one
from imago.targets import Target, expand_units, is_name, parse_target, ranges
from imago.visualizations import Place, Visualization

_DIGEST = re.compile(r"[0-9a-f]{64}")


class View(StrEnum):
    """The whole picture, or the part that the unit can see."""

    FULL = "full"
    CROP = "crop"


def get(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB|DIGEST|NETWORK/LAYER/UNITS[@PLACE]…",
            help="Of units, the best picture there is, or that at a place or token.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR|FILE", help="A folder, or a .png for one picture (default: here)"
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            "--grid", metavar="FILE", dir_okay=False, help="Tile the pictures into this PNG (needs Pillow)."
        ),
    ] = None,
    view: Annotated[View | None, typer.Option("--view", help="Which part of the picture.")] = None,
    every: Annotated[
        bool,
        typer.Option("--all-candidates", help="Of a job with candidates, all of them, not only the best."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Download pictures. Files that are there already are not fetched again."""
    session = session_of(context, as_json)
    found = Found()
    for name in what:
        found.extend(pictures_of(session.client, name, every))
    pictures = [picture for picture in found.pictures if picture.state == "done"]
    without = found.without + [
        f"{picture.title} ({picture.state})" for picture in found.pictures if picture.state != "done"
    ]
    if not pictures and found.without:
        raise NotFound(
            f"{shortened(without)} has no picture yet; ask for some: imago submit {what[0]} --watch"
        )
    outcomes = _save(pictures, out, view) if out is not None or grid is None else []
    saved = [each for each in outcomes if isinstance(each, Saved)]
    lost = [each for each in outcomes if isinstance(each, Lost)]
    if grid is not None:
        gone = {each.picture.digest for each in lost}
        tiles, more = _fetched([picture for picture in pictures if picture.digest not in gone], view)
        lost += more
        if tiles:
            write_whole(grid, _sheet(tiles))
        else:
            grid = None
    without = [str(each) for each in lost] + without
    if session.as_json:
        files = [{"path": str(each.path), **each.raw} for each in saved]
        session.emit({"data": files, "grid": grid and str(grid), "without": without})
    else:
        _tell(session, saved, grid)
        if without:
            session.remark(f"Without a picture: {shortened(without)}", "yellow")
        elif not pictures:
            session.remark("There is no picture.", "yellow")
    if without or not pictures:
        raise typer.Exit(ExitCode.FAILED)


@dataclass
class Found:
    """What names on the command line stand for: `without` has those units of which nothing was ever made,
    as `network/layer/units`.
    """

    pictures: list[Visualization] = field(default_factory=list)
    without: list[str] = field(default_factory=list)

    def extend(self, other: "Found") -> None:
        """Add what another name stands for."""
        self.pictures += other.pictures
        self.without += other.without


def pictures_of(client: Client, name: str, every: bool = False) -> Found:
    """What a name on the command line stands for: a job's items, of candidates the best or `every` one; one
    digest, or the best of units, where a place is named the best at that.
    """
    if name.startswith("job_"):
        job = client.job(name)
        return Found(_items(job) if job.candidates == 1 or every else _best_items(job))
    if _DIGEST.fullmatch(name):
        return Found([client.visualization(name)])
    if "/" not in name:
        raise InvalidRequest(
            f"{name!r} is neither a job (job_…), a digest (64 hex digits) nor NETWORK/LAYER/UNITS."
        )
    network, target = parse_target(name)
    assert isinstance(target.units, str)
    if is_name(target.units):
        units = list(client.units(network, target.layer, label=target.units))
    elif not target.units.replace(",", "").replace("-", "").isdecimal():
        known = list(client.units(network, target.layer))
        wanted = set(expand_units(target.units, len(known)))
        units = [unit for unit in known if unit.number in wanted]
    else:
        units = [client.unit(f"{network}/{target.layer}/{unit}") for unit in expand_units(target.units)]
    if target.position is None and target.token is None:
        best = [(unit.number, unit.best()) for unit in units]
    else:
        place = _place(client.layer(network, target.layer), target)
        best = [(unit.number, unit.best_at(place)) for unit in units]
    without = [number for number, picture in best if picture is None]
    return Found(
        [picture for _, picture in best if picture is not None],
        [f"{network}/{target.layer}/{ranges(without)}{target.place}"] if without else [],
    )


def _place(layer: Layer, target: Target) -> Place:
    """The place that a target names, as pictures have it: None where it is the usual one."""
    if target.position is not None and layer.height is None:
        raise InvalidRequest(f"{layer.name}{target.place}: {layer.name} has no map to name a place of.")
    if target.token is not None and layer.tokens is None:
        raise InvalidRequest(f"{layer.name}{target.place}: {layer.name} has no tokens.")
    centre = (layer.height // 2, layer.width // 2) if layer.height and layer.width else None
    position = None if target.position == centre else target.position
    return position, None if target.token == layer.usual_token else target.token


def _items(job: Job) -> list[Visualization]:
    return list(job.items())


def _best_items(job: Job) -> list[Visualization]:
    """The best candidate of each unit and seed; where none is done, the first, which tells its state."""
    items, count = _items(job), job.candidates
    several = [items[first : first + count] for first in range(0, len(items), count)]
    return [next((item for item in each if item.best), each[0]) for each in several]


def _save(pictures: list[Visualization], out: Path | None, view: View | None) -> list[Outcome]:
    folder = out or Path()
    if folder.suffix.lower() == ".png" and not folder.is_dir():
        if len(pictures) > 1:
            raise InvalidRequest(
                f"{folder} is one file, but there are {len(pictures)} pictures; name a folder."
            )
        return [save_one(picture, folder, view=view, anew=True) for picture in pictures]
    return save_all(pictures, folder, view=view)


def _fetched(
    pictures: list[Visualization], view: View | None
) -> tuple[list[tuple[Visualization, bytes]], list[Lost]]:
    """The pictures with their bytes, and those that cannot be had."""
    tiles, lost = [], []
    for picture in pictures:
        try:
            tiles.append((picture, picture.image_bytes(view=view)))
        except ImagoError as error:
            if not concerns_one_picture(error):
                raise
            lost.append(Lost(picture, str(error)))
    return tiles, lost


def _sheet(tiles: list[tuple[Visualization, bytes]]) -> bytes:
    from imago.sheet import contact_sheet

    several = len({picture.layer for picture, _ in tiles}) > 1
    captioned = []
    for picture, png in tiles:
        unit = f"{picture.layer}/{picture.unit}" if several else str(picture.unit)
        captioned.append((f"{unit} {picture.label or ''}".strip(), png))
    return contact_sheet(captioned)


def _tell(session: Session, saved: list[Saved], grid: Path | None) -> None:
    for each in saved:
        session.say(str(each.path))
    if grid is not None:
        session.say(str(grid))
