"""`imago search`, `neighbours`, `excites`: units by words, by likeness, by a photograph."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imago.cli.session import JsonFlag, Limit, session_of
from imago.cli.shell import WordsByLabel
from imago.errors import ImagoError, InvalidRequest
from imago.search.found import Excited, Found, Neighbour

search = typer.Typer(
    cls=WordsByLabel, no_args_is_help=True, help="Find units by what is seen in their pictures."
)

_Network = Annotated[str | None, typer.Option("--network", metavar="ID", help="Only of this network.")]
_Layer = Annotated[str | None, typer.Option("--layer", metavar="LAYER", help="Only of this layer.")]


class Within(StrEnum):
    """Where neighbours are looked for."""

    LAYER = "layer"
    NETWORK = "network"
    ALL = "all"


@search.command("label")
def by_label(
    context: typer.Context,
    label: Annotated[str, typer.Argument(metavar="WORD", help="The name of a class, such as volcano.")],
    network: _Network = None,
    layer: _Layer = None,
    percentile: Annotated[
        float | None,
        typer.Option(
            "--percentile", min=0, max=100, help="Only pictures stronger than so many of 100 scanned ones."
        ),
    ] = None,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the units whose pictures their network sees as a class, the most probable first."""
    session = session_of(context, as_json)
    asked = {"network": network, "layer": layer}
    found = list(session.client.search(label, **asked, min_percentile=percentile, limit=limit))
    session.listing(found, ["UNIT", "SEEN AS", "PROBABILITY", "RANK", "PICTURE"], _seen)


@search.command("unreachable")
def unreachable(
    context: typer.Context,
    network: _Network = None,
    layer: _Layer = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the units of which no picture can exist."""
    session = session_of(context, as_json)
    found = list(session.client.search(state="unreachable", network=network, layer=layer, limit=limit))
    session.listing(found, ["UNIT"], lambda unit: (_name(unit),))


@search.command("dead")
def dead(
    context: typer.Context,
    network: _Network = None,
    layer: _Layer = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the units that no real picture excites which was scanned."""
    session = session_of(context, as_json)
    found = list(session.client.search(state="dead", network=network, layer=layer, limit=limit))
    session.listing(found, ["UNIT", "PICTURE"], lambda unit: (_name(unit), (unit.digest or "")[:12]))
    if not found and not as_json and not session.client.scans(network=network, state="succeeded", limit=1):
        session.remark(f"No real pictures were scanned: imago exemplars {network or 'NETWORK'} SOURCES")


@search.command("changes")
def changes(
    context: typer.Context,
    layer: Annotated[str, typer.Argument(metavar="NETWORK/LAYER", help="What is compared.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The network that it is compared with.")],
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the units of a layer whose pictures differ most from those of another network."""
    session = session_of(context, as_json)
    network, name = _layer_of(layer)
    found = list(session.client.changes(network, name, other, limit=limit))
    session.listing(
        found,
        ["UNIT", "DISTANCE", "PICTURE", "THE OTHER'S"],
        lambda change: (
            change.unit,
            f"{change.distance:.3f}",
            change.digest[:12],
            change.other_digest[:12],
        ),
    )


def neighbours(
    context: typer.Context,
    unit: Annotated[str, typer.Argument(metavar="NETWORK/LAYER/UNIT", help="Whose neighbours.")],
    within: Annotated[Within, typer.Option("--within", help="Where to look.")] = Within.LAYER,
    limit: Limit = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the units whose pictures look most like a unit's."""
    session = session_of(context, as_json)
    found = session.client.unit(unit).neighbours(within=within.value, limit=limit)
    if session.as_json:
        session.emit(found.raw)
        return
    session.listing(list(found), ["UNIT", "SIMILARITY", "PICTURE"], _near)
    if not found.complete:
        session.remark("Some pictures that might count are not indexed yet.", "yellow")


def excites(
    context: typer.Context,
    photograph: Annotated[Path, typer.Argument(metavar="PHOTO", help="A JPEG, PNG or WebP file.")],
    layer: Annotated[str, typer.Argument(metavar="NETWORK/LAYER", help="The layer that looks at it.")],
    limit: Limit = 10,
    as_json: JsonFlag = False,
) -> None:
    """Show which units of a layer a photograph excites most, and whose pictures look like it."""
    session = session_of(context, as_json)
    network, name = _layer_of(layer)
    found = session.client.excites(photograph, network, name)
    if session.as_json:
        session.emit(found.raw)
    elif found.error is None:
        session.table(["EXCITED", "ACTIVATION"], [_excited(unit) for unit in found.excited[:limit]])
        session.table(
            ["ALIKE", "ACTIVATION", "SIMILARITY"],
            [(*_excited(unit), f"{unit.similarity:.3f}") for unit in found.alike[:limit]],
        )
    if found.error is not None:
        raise ImagoError(found.error.message)


def _layer_of(text: str) -> tuple[str, str]:
    network, _, layer = text.partition("/")
    if not network or not layer:
        raise InvalidRequest(f"{text!r} is no NETWORK/LAYER.")
    return network, layer


def _name(found: Found | Neighbour) -> str:
    return f"{found.network}/{found.layer}/{found.unit}"


def _seen(found: Found) -> tuple[object, ...]:
    return _name(found), found.label, f"{found.probability:.2f}", found.rank, (found.digest or "")[:12]


def _near(found: Neighbour) -> tuple[object, ...]:
    name = _name(found) if found.current else f"{_name(found)} (earlier)"
    return name, f"{found.similarity:.3f}", found.digest[:12]


def _excited(unit: Excited) -> tuple[object, ...]:
    return unit.unit, f"{unit.activation:.3g}"
