"""`imago build`, `atlases`, `atlas`, `pause`, `resume`, `extend`, `publish`."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from imago.atlases.records import AtlasEstimate
from imago.cli.atlas_watching import show_or_watch
from imago.cli.commands.jobs import Watch
from imago.cli.descriptions import described
from imago.cli.durations import duration, moment, time_left
from imago.cli.named_values import named_value
from imago.cli.numbers import counted
from imago.cli.pending import wait_until_inspected
from imago.cli.session import JsonFlag, Limit, Session, session_of
from imago.errors import Conflict


class Visibility(StrEnum):
    """Who sees an atlas."""

    PRIVATE = "private"
    PUBLIC = "public"


AtlasId = Annotated[str, typer.Argument(metavar="ATLAS", help="An atlas's id, such as atl_01…")]
Layers = Annotated[
    list[str] | None, typer.Option("--layers", "-l", help=described("atlas", "layers"), metavar="WORDS")
]
Units = Annotated[
    str | None, typer.Option("--units", "-u", help=described("atlas", "units"), metavar="WORDS")
]
Facets = Annotated[int | None, typer.Option("--facets", help=described("atlas", "facets"))]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and make nothing.")]


def build(
    context: typer.Context,
    network: Annotated[str, typer.Argument(metavar="NETWORK", help=described("atlas", "network"))],
    layers: Layers = None,
    units: Units = None,
    facets: Facets = None,
    candidates: Annotated[
        int | None, typer.Option("--candidates", metavar="N", help=described("atlas", "candidates"))
    ] = None,
    technique: Annotated[
        str | None, typer.Option("--technique", "--recipe", help=described("recipe", "technique"))
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A recipe parameter."),
    ] = None,
    generator: Annotated[
        str | None, typer.Option("--generator", "-g", help=described("atlas", "generator"))
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help=described("atlas", "name"))] = None,
    visibility: Annotated[
        Visibility | None, typer.Option("--visibility", help=described("atlas", "visibility"))
    ] = None,
    dry_run: DryRun = False,
    watching: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """Build an atlas: the pictures of many units of a network.

    imago build efficientnet_lite0.imagenet --facets 2 --watch
    """
    session = session_of(context, as_json)
    asked: dict[str, Any] = {
        "layers": _words(layers),
        "units": units,
        "facets": facets,
        "candidates": candidates,
        "technique": technique,
        "parameters": dict(named_value("--param", text, "steps=60") for text in param or []),
        "generator": generator,
    }
    if dry_run:
        show_estimate(session, session.client.atlases.estimate(network, **asked))
        return
    named = {**asked, "name": name, "visibility": None if visibility is None else visibility.value}
    try:
        atlas = session.client.atlases.create(network, **named)
    except Conflict:
        if session.client.network(network).state != "pending":
            raise
        wait_until_inspected(session, network)
        atlas = session.client.atlases.create(network, **named)
    if watching and not session.as_json:
        shown = f"{counted(atlas.pictures.total, 'picture')} of {counted(atlas.raw['layer_count'], 'layer')}"
        session.remark(f"{atlas.id}: {shown}.")
    show_or_watch(session, atlas, watching)


def show_atlas(
    context: typer.Context, id: AtlasId, watching: Watch = False, as_json: JsonFlag = False
) -> None:
    """Show an atlas with its layers, or watch it being built."""
    session = session_of(context, as_json)
    atlas = session.client.atlases.get(id)
    show_or_watch(session, atlas, watching)
    if not watching and not session.as_json:
        session.table(
            ["LAYER", "UNITS", "FACETS", "DONE", "FAILED", "TECHNIQUE"],
            [
                (
                    layer.name,
                    layer.unit_count,
                    layer.facets,
                    f"{layer.pictures.settled}/{layer.pictures.total}",
                    layer.pictures.failed or "",
                    layer.technique,
                )
                for layer in atlas.layers()
            ],
        )


def list_atlases(
    context: typer.Context,
    network: Annotated[str | None, typer.Option("--network", help="Only those of this network.")] = None,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List atlases, newest first."""
    session = session_of(context, as_json)
    session.listing(
        session.client.atlases.list(network=network, limit=limit),
        ["ATLAS", "STATE", "DONE", "VERSION", "NETWORK", "CREATED", "NAME"],
        lambda atlas: (
            atlas.id,
            atlas.state,
            f"{atlas.pictures.settled}/{atlas.pictures.total}",
            atlas.latest_version or "",
            atlas.network,
            moment(atlas.created_at),
            atlas.name,
        ),
    )


def pause(context: typer.Context, id: AtlasId, as_json: JsonFlag = False) -> None:
    """Pause an atlas: nothing new is begun, what is being computed ends."""
    session = session_of(context, as_json)
    show_or_watch(session, session.client.atlases.get(id).pause(), False)


def resume(context: typer.Context, id: AtlasId, watching: Watch = False, as_json: JsonFlag = False) -> None:
    """Go on with an atlas that was paused or canceled."""
    session = session_of(context, as_json)
    show_or_watch(session, session.client.atlases.get(id).resume(), watching)


def extend(
    context: typer.Context,
    id: AtlasId,
    layers: Layers = None,
    units: Units = None,
    facets: Facets = None,
    dry_run: DryRun = False,
    watching: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """Add layers, units or facets to an atlas.

    One that is paused or canceled stays so until it is resumed.
    """
    session = session_of(context, as_json)
    atlas = session.client.atlases.get(id)
    asked: dict[str, Any] = {"layers": _words(layers), "units": units, "facets": facets}
    if dry_run:
        show_estimate(session, atlas.estimate_extension(**asked))
        return
    atlas.extend(**asked)
    waits = atlas.state in ("paused", "canceled")
    show_or_watch(session, atlas, watching and not waits)
    if waits:
        session.remark(f"It is {atlas.state}, and waits with what was added: imago resume {atlas.id}")


def publish(context: typer.Context, id: AtlasId, as_json: JsonFlag = False) -> None:
    """Freeze what an atlas has as a version that never changes."""
    session = session_of(context, as_json)
    version = session.client.atlases.get(id).publish()
    if session.as_json:
        session.emit(version)
        return
    layers = version["layers"]
    pictures = sum(layer["pictures"] for layer in layers)
    shown = f"{counted(pictures, 'picture')} of {counted(len(layers), 'layer')}"
    session.say(f"{id} version {version['number']}: {shown}.", "green")


def show_estimate(session: Session, found: AtlasEstimate) -> None:
    """What an atlas would take, layer by layer and in all."""
    if session.as_json:
        session.emit(found.raw)
        return
    session.table(
        ["LAYER", "UNITS", "PICTURES", "CACHED", "TECHNIQUE", "TIME"],
        [
            (
                layer["layer"],
                layer["unit_count"],
                layer["pictures"],
                layer["cached"] or "",
                layer["technique"],
                "" if layer["seconds"] is None else duration(layer["seconds"]),
            )
            for layer in found.raw["layers"]
        ],
    )
    about = "" if found.cached_is_exact else "about "
    session.say(f"{counted(found.pictures, 'picture')}, {about}{found.cached} of them made already")
    if found.eta_seconds is None:
        session.say("Time: unknown; no worker is alive, or none has made anything yet")
    else:
        session.say(f"Done in {time_left(found.eta_seconds, found.eta_range)} if it is started now")
    size = "unknown" if found.bytes is None else _size(found.bytes)
    room = "unknown" if found.room is None else _size(found.room)
    session.say(f"Adds to the store: {size}; it has room for: {room}", "" if found.fits else "red")


def _words(layers: Sequence[str] | None) -> str | Sequence[str] | None:
    return layers[0] if layers and len(layers) == 1 else layers or None


def _size(count: int) -> str:
    """Bytes as people write them."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.1f} {unit}"
