"""`imago networks`: list them, show one, add one, remove one."""

from pathlib import Path
from typing import Annotated

import typer

from imago.cli.commands.removal import remove_network
from imago.cli.free_text import one_line
from imago.cli.network_options import read_names, three_numbers
from imago.cli.session import JsonFlag, session_of, state_style
from imago.records import Network

networks = typer.Typer(help="List the networks that can be explained, show one, add one, or remove one.")
networks.command("remove")(remove_network)


@networks.callback(invoke_without_command=True)
def list_networks(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the networks that can be explained, show one, add one, or remove one."""
    session = session_of(context, as_json)
    if context.invoked_subcommand is not None:
        return
    found = session.client.networks()
    session.listing(
        found,
        ["NETWORK", "STATE", "ARCHITECTURE", "ERROR"],
        lambda network: (network.id, network.state, network.architecture, network.error),
        in_full="imago networks show NETWORK",
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


@networks.command("show")
def show_network(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="NETWORK", help="A network's id.")],
    as_json: JsonFlag = False,
) -> None:
    """Show what is known of a network; of one that failed, why."""
    session = session_of(context, as_json)
    network = session.client.network(id)
    if session.as_json:
        session.emit(network.raw)
        return
    session.say(f"{network.id} is {network.state}", state_style(network.state))
    for name, value in _facts(network).items():
        if value:
            session.say(f"  {name}: {value}")


def _facts(network: Network) -> dict[str, str]:
    raw, sizes = network.raw, network.raw["input_sizes"]
    input_size = f"{network.input_size} px" if network.input_size else ""
    if sizes and sizes["step"]:
        input_size += f"; also from {sizes['least']} px"
        input_size += f" to {sizes['most']} px" if sizes["most"] else ""
        input_size += f" in steps of {sizes['step']} px" if sizes["step"] > 1 else ""
    return {
        "error": one_line(network.error or ""),
        "architecture": f"{network.architecture}, of source {raw['source']}",
        "weights": raw["weights"] or "",
        "input": input_size,
        "classes": str(network.classes or ""),
        "inspection": "to be inspected by a worker" if network.awaits_inspection else "",
    }
