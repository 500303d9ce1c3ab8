"""`make demo`: the main job, end to end, as a user would do it, on servers that are gone afterwards.

Sixteen output neurons and eight hidden units of EfficientNet-lite0 go through the API, the queue, a worker,
the store and back through the client into one grid and one report. The servers' data stay, so a second run is
answered from the cache.
"""

import json
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from imago import Client, Job, Visualization
from imago.sheet import contact_sheet
from infra.local.stack import Stack

_UNITS = Path(__file__).with_name("demo_units.json")
_CHECKOUT = Path(__file__).resolve().parents[2]
_SMALL_ATLAS = _CHECKOUT / "docs" / "small-atlas"
"""An exported atlas of 287 units of EfficientNet-lite0."""


@dataclass(frozen=True)
class Report:
    """What a demo came to.

    `mean_activation_percentile` is where the pictures' activations stand among those of 1000 real
    photographs at the same unit, 0 to 100; `seconds_compute` is what the worker spent on the pictures.
    """

    pictures: int
    failed: int
    unreachable: int
    seconds_total: float
    seconds_compute: float
    mean_activation_percentile: float | None


def main(home: Path) -> int:
    """Run the demo with its data under `home`; 0 when every unit ended as a picture or as unreachable."""
    console = Console()
    demo = json.loads(_UNITS.read_text())
    began = time.monotonic()
    console.print("Starting PostgreSQL, Valkey, SeaweedFS, the API and one worker …")
    with Stack(home) as stack, Client(stack.api_url, key=stack.key) as client:
        console.print(f"{stack.api_url} answers; the worker looks at {demo['network']} …")
        client.wait_for_network(demo["network"])
        _bring_atlas(client, console)
        job = client.submit(
            demo["network"],
            {layer["name"]: layer["units"] for layer in demo["layers"]},
            parameters={"input_size": demo["input_size"]},
        )
        console.print(f"{job.id}: {job.units.total} units, {job.units.cached} of them cached")
        _watch(job, console)
        items = list(job.items())
        pictures = [item for item in items if item.state == "done"]
        report = report_of(items, demo, time.monotonic() - began)
        folder = home / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        if pictures:
            sheet = contact_sheet(
                [(_caption(item), item.image_bytes(view="full")) for item in pictures], columns=6
            )
            (folder / "grid.png").write_bytes(sheet)
    (folder / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    _explain(items, console)
    console.print(
        f"\n[bold]{report.pictures} pictures[/] in {report.seconds_total:.0f} s: {folder / 'grid.png'}"
    )
    if report.mean_activation_percentile is not None:
        console.print(
            f"On average a unit prefers its picture to {report.mean_activation_percentile:.1f} % of"
            " 1000 photographs."
        )
    console.print(f"Report: {folder / 'report.json'}. Nothing is left running; `make up` starts it to stay.")
    return 0 if pictures and not report.failed else 1


def _bring_atlas(client: Client, console: Console) -> None:
    """Import the atlas that comes with the checkout, so that there is something to look at in the first
    minute; one that an earlier demo has imported stays."""
    atlas = client.atlases.load(_SMALL_ATLAS)
    if atlas.visibility != "public":
        atlas.change(visibility="public")
    console.print(
        f"{atlas.id}: {atlas.pictures.done} pictures of {len(atlas.layers())} layers, imported from "
        f"{_SMALL_ATLAS.relative_to(_CHECKOUT)}"
    )


def _watch(job: Job, console: Console) -> None:
    """Show progress: a bar in a terminal, a line a change elsewhere."""
    if not console.is_terminal:
        settled = -1
        for now in job.polls():
            if now.units.settled != settled:
                settled = now.units.settled
                console.print(f"{now.state}: {settled} of {now.units.total}")
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(job.state, total=job.units.total)
        for now in job.polls():
            progress.update(task, completed=now.units.settled, description=now.state)


def report_of(items: Sequence[Visualization], demo: dict[str, Any], seconds: float) -> Report:
    """What came of the demo's units, from what the API tells of them."""
    pictures = [item for item in items if item.state == "done"]
    provenances = [item.detail["provenance"] for item in pictures]
    # All items of a batch carry the time of the whole batch: each took an equal part of it.
    compute = sum(told["batch_seconds"] / told["batch_size"] for told in provenances)
    quantiles = {layer["name"]: layer["quantiles"] for layer in demo["layers"]}
    percentiles = [
        100 * bisect_left(levels, item.activation) / len(levels)
        for item in pictures
        if item.activation is not None and (levels := quantiles[item.layer].get(str(item.unit)))
    ]
    return Report(
        pictures=len(pictures),
        failed=sum(item.state in ("failed", "canceled") for item in items),
        unreachable=sum(item.state == "unreachable" for item in items),
        seconds_total=round(seconds, 1),
        seconds_compute=round(compute, 1),
        mean_activation_percentile=round(sum(percentiles) / len(percentiles), 1) if percentiles else None,
    )


def _caption(item: Visualization) -> str:
    return item.label or f"{item.layer}/{item.unit}"


def _explain(items: Sequence[Visualization], console: Console) -> None:
    for item in items:
        if item.state != "done":
            why = f": {item.error.message}" if item.error else ""
            console.print(f"{item.title} is {item.state}{why}")
