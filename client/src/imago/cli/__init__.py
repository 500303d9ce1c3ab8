"""The command line `imago`.

Exit statuses: 0 all well, 1 a job ended without all its pictures (or another error), 2 the command or a value
in it was not accepted, 3 not found, 4 the key does not allow it, 5 the server cannot be reached or cannot
serve, 130 detached by Ctrl-C.
"""

from typing import Annotated

import typer

from imago.cli.commands import (
    atlases,
    catalog,
    compare,
    connection,
    exports,
    jobs,
    maps,
    networks,
    pictures,
    removal,
    scans,
    search,
    trainings,
    units,
)
from imago.cli.session import JsonFlag, Session
from imago.cli.shell import Commands
from imago.version import __version__

app = typer.Typer(
    name="imago",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit status: 0 all well, 1 failed items or another error, 2 not accepted, 3 not found, "
        "4 not authorized, 5 server not reached, 130 detached."
    ),
)

_WORK, _ATLASES, _PICTURES = "Work", "Atlases", "Pictures"
_CATALOG, _SERVER = "What there is", "Server"
app.command("submit", rich_help_panel=_WORK)(jobs.submit)
app.command("job", rich_help_panel=_WORK)(jobs.show_job)
app.command("jobs", rich_help_panel=_WORK)(jobs.list_jobs)
app.command("cancel", rich_help_panel=_WORK)(jobs.cancel)
app.command("retry", rich_help_panel=_WORK)(jobs.retry)
app.command("delete", rich_help_panel=_WORK)(removal.delete)
app.command("train-generator", rich_help_panel=_WORK)(trainings.train_generator)
app.command("training", rich_help_panel=_WORK)(trainings.show_training)
app.command("trainings", rich_help_panel=_WORK)(trainings.list_trainings)
app.command("build", rich_help_panel=_ATLASES)(atlases.build)
app.command("atlas", rich_help_panel=_ATLASES)(atlases.show_atlas)
app.command("atlases", rich_help_panel=_ATLASES)(atlases.list_atlases)
app.command("pause", rich_help_panel=_ATLASES)(atlases.pause)
app.command("resume", rich_help_panel=_ATLASES)(atlases.resume)
app.command("extend", rich_help_panel=_ATLASES)(atlases.extend)
app.command("publish", rich_help_panel=_ATLASES)(atlases.publish)
app.command("compare", rich_help_panel=_ATLASES)(compare.compare)
app.command("exemplars", rich_help_panel=_ATLASES)(scans.exemplars)
app.command("scan", rich_help_panel=_ATLASES)(scans.show_scan)
app.command("scans", rich_help_panel=_ATLASES)(scans.list_scans)
app.command("export", rich_help_panel=_ATLASES)(exports.export)
app.command("import", rich_help_panel=_ATLASES)(exports.import_)
app.command("check", rich_help_panel=_ATLASES)(exports.check)
app.command("map", rich_help_panel=_ATLASES)(maps.show_map)
app.command("get", rich_help_panel=_PICTURES)(pictures.get)
app.command("unit", rich_help_panel=_PICTURES)(units.unit)
app.add_typer(search.search, name="search", rich_help_panel=_PICTURES)
app.command("neighbours", rich_help_panel=_PICTURES)(search.neighbours)
app.command("excites", rich_help_panel=_PICTURES)(search.excites)
app.add_typer(networks.networks, name="networks", rich_help_panel=_CATALOG)
app.command("layers", rich_help_panel=_CATALOG)(catalog.layers)
app.command("generators", rich_help_panel=_CATALOG)(catalog.generators)
app.command("techniques", rich_help_panel=_CATALOG)(catalog.techniques)
app.command("presets", rich_help_panel=_CATALOG)(catalog.presets)
app.command("queue", rich_help_panel=_SERVER)(catalog.queue)
app.command("login", rich_help_panel=_SERVER)(connection.login)
app.command("logout", rich_help_panel=_SERVER)(connection.logout)
app.command("doctor", rich_help_panel=_SERVER)(connection.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"imago {__version__}")
        raise typer.Exit


@app.callback()
def imago(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The server (or IMAGO_URL).")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The key (or IMAGO_API_KEY).")
    ] = None,
    as_json: JsonFlag = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Pictures that the neurons of a vision network want to see."""
    context.obj = Session(url=url, key=key, as_json=as_json)
    context.call_on_close(context.obj.close)


def main() -> None:
    """The entry point of the `imago` command."""
    app()
