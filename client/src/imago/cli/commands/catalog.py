"""`imago layers`, `generators`, `techniques`, `presets`, `queue`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from imago.cli.durations import rate, time_left
from imago.cli.numbers import as_value, grouped
from imago.cli.pending import wait_until_inspected
from imago.cli.session import JsonFlag, Session, session_of
from imago.records import Layer


def layers(
    context: typer.Context,
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A network's id.")],
    words: Annotated[
        str,
        typer.Option(
            "--layers",
            metavar="WORDS",
            help="Which: blocks (stem, the output of every block, head, output), convolutions, all, or names"
            " and patterns such as 'blocks.2.*', joined by commas.",
        ),
    ] = "blocks",
    every: Annotated[
        bool, typer.Option("--all", "-a", help="All layers, those within blocks and twins too.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the layers of a network that people mean, in execution order.

    ROLE says what a layer is to the network; `= NAME` that it is the twin of another layer.
    """
    session = session_of(context, as_json)
    wanted = "all" if every else words
    found = session.client.layers(network, wanted)
    if not found:  # so only until it is inspected
        wait_until_inspected(session, network)
        found = session.client.layers(network, wanted)
    input_size = None if session.as_json else session.client.network(network).input_size
    session.listing(
        found,
        ["LAYER", "KIND", "UNITS", "PLACES", "SEES", "ROLE"],
        lambda layer: (
            layer.name,
            layer.kind,
            layer.units,
            _places(layer),
            _sees(layer, input_size),
            layer.role or (f"= {layer.twin_of}" if layer.twin_of else ""),
        ),
    )
    if not session.as_json and wanted == "blocks":
        units = sum(layer.units for layer in found)
        session.remark(
            f"{len(found)} layers with {grouped(units)} units; --all lists those within blocks, too."
        )


def _places(layer: Layer) -> str:
    """Where its units can be read: the size of its map, or its tokens and the usual one of them."""
    if layer.tokens is not None:
        return f"{layer.tokens} tokens, usually @{layer.usual_token}"
    return f"{layer.height}×{layer.width}" if layer.height else ""


def _sees(layer: Layer, input_size: int | None) -> str:
    """What one unit sees. A field that is larger than the network's input sees all of it."""
    if layer.receptive_field is None:
        return ""
    pixels = f"{layer.receptive_field} px"
    whole = input_size is not None and layer.receptive_field >= input_size
    return f"all ({pixels})" if whole else pixels


def generators(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the generators that pictures can be made with."""
    session = session_of(context, as_json)
    session.listing(
        session.client.generators(),
        ["GENERATOR", "ARCHITECTURE", "SIZE", ""],
        lambda generator: (
            generator.id,
            generator.architecture,
            f"{generator.image_size} px",
            "default" if generator.is_default else "",
        ),
    )


def techniques(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="TECHNIQUE", help="Only this one.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the techniques with their parameters, for `imago submit --param`."""
    session = session_of(context, as_json)
    found = [session.client.technique(id)] if id else session.client.techniques()
    if session.as_json:
        session.emit(found[0].raw if id else {"data": [technique.raw for technique in found]})
        return
    for technique in found:
        session.say(technique.id, "bold")
        _show_fields(session, "PARAMETER", technique.schema, technique.values)
        if generator := technique.raw["generator"]:
            session.remark(f"  The defaults are those with generator {generator}.")


def presets(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="PRESET", help="Only this one.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the presets of trainings with their options, for `imago train-generator --option`."""
    session = session_of(context, as_json)
    found = [session.client.preset(id)] if id else session.client.presets()
    if session.as_json:
        session.emit(found[0].raw if id else {"data": [preset.raw for preset in found]})
        return
    for preset in found:
        session.say(preset.id, "bold")
        session.remark(f"  {preset.description}")
        given = ", ".join(
            f"{name} {grouped(value) if isinstance(value, int | float) else value}"
            for name, value in preset.defaults.items()
            if value is not None
        )
        session.remark(f"  Where nothing else is asked for: {given}.")
        _show_fields(session, "OPTION", preset.schema)


def _show_fields(
    session: Session, head: str, schema: Mapping[str, Any], values: Mapping[str, Any] | None = None
) -> None:
    """What a JSON Schema takes, a line each. values: the defaults, where they are not the schema's."""
    defaults = {name: field.get("default") for name, field in schema.get("properties", {}).items()}
    defaults |= values or {}
    rows = [
        (f"  {name}", as_value(defaults[name]), _accepted(field), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    session.table([f"  {head}", "DEFAULT", "ACCEPTED", "MEANING"], rows)


def queue(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Show what waits, and who works on it."""
    session = session_of(context, as_json)
    found = session.client.queue()
    if session.as_json:
        session.emit(found.raw)
        return
    session.table(
        ["LANE", "QUEUED", "IN THE MAKING"],
        [(lane.name, lane.queued, lane.leased) for lane in found.lanes],
    )
    trainings = found.trainings
    if trainings.queued or trainings.running:
        session.say(f"trainings: {trainings.queued} queued, {trainings.running} in the making")
    if trainings.queued and not trainings.workers:
        session.remark("No worker that is alive has a data root (IMAGO_DATA_ROOT): trainings wait for one.")
    waited_for = any(lane.queued or lane.leased for lane in found.lanes)
    left = ""
    if waited_for and found.eta_seconds is not None:
        left = f", {time_left(found.eta_seconds, found.eta_range)} left"
    session.say(f"{found.workers} worker{'' if found.workers == 1 else 's'}, {rate(found.rate)}{left}")


def _accepted(field: Mapping[str, Any]) -> str:
    """What a JSON Schema accepts, in short: `0 < number ≤ 1000`, `sigma | unit`, `integer or null`."""
    if "anyOf" in field:
        return " or ".join(_accepted(branch) for branch in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    text = str(field.get("type", ""))
    for key, sign in (("minimum", "≤"), ("exclusiveMinimum", "<")):
        if key in field:
            text = f"{grouped(field[key])} {sign} {text}"
    for key, sign in (("maximum", "≤"), ("exclusiveMaximum", "<")):
        if key in field:
            text = f"{text} {sign} {grouped(field[key])}"
    return text
