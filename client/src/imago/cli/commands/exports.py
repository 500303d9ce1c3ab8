"""`imago export`, `import`, `check`: atlases as files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import imago.exports.opening as exports
from imago.cli.commands.atlases import AtlasId
from imago.cli.numbers import counted
from imago.cli.session import JsonFlag, Session, session_of
from imago.errors import ImagoError


class Table(StrEnum):
    """What dataset libraries read."""

    PARQUET = "parquet"
    JSONL = "jsonl"


class Format(StrEnum):
    """How pictures are written."""

    PNG = "png"
    WEBP = "webp"


ExportPath = Annotated[Path, typer.Argument(metavar="FOLDER|FILE.tar", help="An exported atlas.")]


def export(
    context: typer.Context,
    id: AtlasId,
    to: Annotated[Path, typer.Argument(metavar="FOLDER|FILE.tar", help="Where it is written.")],
    version: Annotated[
        str, typer.Option("--version", metavar="NUMBER", help="A published version, or the latest.")
    ] = "latest",
    table: Annotated[
        Table | None,
        typer.Option(
            "--table",
            help="What describes the pictures to dataset libraries: metadata.parquet, which needs the extra "
            "parquet, or metadata.jsonl. By default Parquet if it can be written.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(
            "--format", help="WebP takes a third less, and loses nothing; it needs the extra pictures."
        ),
    ] = Format.PNG,
    size: Annotated[
        int | None, typer.Option("--size", metavar="PIXELS", help="Reduce pictures to this side.")
    ] = None,
    site: Annotated[
        bool,
        typer.Option(
            "--site",
            help="Write pages for people instead, with pictures and a search: they work from any bucket and "
            "from a folder, without a server.",
        ),
    ] = False,
    exemplars: Annotated[
        bool,
        typer.Option(
            "--exemplars/--no-exemplars",
            help="Of a site: with the photographs that excite units most, where some were scanned, or "
            "without, for those who may not publish them.",
        ),
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Export a version of an atlas as files. Stopped anywhere, the same command goes on.

    imago export atl_… my-atlas/

    imago export atl_… --site my-site/
    """
    session = session_of(context, as_json)
    atlas = session.client.atlases.get(id)
    if site:
        if (table, format, size) != (None, Format.PNG, None):
            raise typer.BadParameter("a site has no --table, --format or --size")
        with progress_of(session, "Exporting") as on_progress:
            page = atlas.export_site(to, version=version, exemplars=exemplars, on_progress=on_progress)
        show_site(session, atlas.id, page)
        return
    with progress_of(session, "Exporting") as on_progress:
        path = atlas.export(
            to,
            version=version,
            format=format.value,
            size=size,
            table=None if table is None else table.value,
            on_progress=on_progress,
        )
    show(session, path)


def show_site(session: Session, id: str, page: Path) -> None:
    """Where it is, and how its map comes to it."""
    if session.as_json:
        session.emit({"path": str(page)})
        return
    session.say(f"{page} is to be opened in a browser, from there or from any web server.", "green")
    if not page.with_name("map.html").exists():
        session.say(f"The version has no map yet. Once `imago map {id}` shows one, export again to add it.")


def import_(context: typer.Context, path: ExportPath, as_json: JsonFlag = False) -> None:
    """Import an exported atlas into the server, once its hashes are found right. Stopped, it goes on.

    Needs a key with the scope admin: pictures keep their digests, so others get them from then on.
    """
    session = session_of(context, as_json)
    try:
        with progress_of(session, "Importing") as on_progress:
            atlas = session.client.atlases.load(path, on_progress)
    except ImagoError as error:
        for note in getattr(error, "__notes__", ()):
            session.remark(note)
        raise
    if session.as_json:
        session.emit(atlas.raw)
    else:
        session.say(
            f"{atlas.id} {atlas.state}: {counted(atlas.pictures.done, 'picture')} of {atlas.network}.",
            "green",
        )


def check(context: typer.Context, path: ExportPath, as_json: JsonFlag = False) -> None:
    """Compare every file of an exported atlas with its hash. Asks no server."""
    session = session_of(context, as_json)
    with exports.open(path) as atlas, progress_of(session, "Checking") as on_progress:
        atlas.check(on_progress)
    show(session, path)


def show(session: Session, path: Path) -> None:
    """What a whole export holds."""
    with exports.open(path) as atlas:
        manifest = atlas.manifest
    if session.as_json:
        kept = ("atlas", "version", "name", "network", "entries", "pictures")
        session.emit({"path": str(path), **{name: manifest[name] for name in kept}})
        return
    written = f"{counted(manifest['pictures'], 'picture')} of {counted(len(manifest['layers']), 'layer')}"
    session.say(
        f"{path}: {written} of {manifest['network']}, {manifest['atlas']} version {manifest['version']}.",
        "green",
    )


@contextmanager
def progress_of(session: Session, doing: str) -> Iterator[Callable[[int, int], object] | None]:
    """A bar in a terminal, nothing elsewhere."""
    if session.as_json or not session.err.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=session.err, transient=True) as shown:
        task = shown.add_task(doing, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
