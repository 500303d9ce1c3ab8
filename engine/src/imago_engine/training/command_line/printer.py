"""Events of a training as lines of text in a terminal."""

import json
import sys
from collections.abc import Callable
from functools import partial

from imago_engine.training.command_line.table import ProgressTable, duration
from imago_engine.training.command_line.throughput import Throughput
from imago_engine.training_events import (
    Begun,
    Encoded,
    Exported,
    Failed,
    LeftOut,
    Measured,
    Note,
    Packed,
    Phase,
    Progress,
    Sample,
    Stopped,
    TrainingEvent,
)

_say: Callable[[str], None] = partial(print, flush=True)


class Printer:
    """`say` gets one line at a time; errors go to stderr."""

    def __init__(self, say: Callable[[str], None] = _say) -> None:
        self._say = say
        self._table = ProgressTable(say)
        self._throughput: Throughput | None = None

    def tell(self, event: TrainingEvent) -> None:
        """Say what people want to know of an event."""
        match event:
            case Progress():
                self._progress(event)
            case Phase(phase="exporting") | Stopped() if self._throughput is not None:
                self._say(str(self._throughput))
            case Failed() if event.code != "unexpected":  # what is unexpected is raised as well
                print(f"error: {event.message}", file=sys.stderr)
            case _ if (line := _line(event)) is not None:
                self._say(line)
        if isinstance(event, Begun):
            self._throughput = Throughput(event)

    def _progress(self, event: Progress) -> None:
        if self._throughput is not None:
            self._throughput.add(event)
        cells = {
            "pictures": f"{event.pictures:,}",
            "done": f"{event.done:.1%}",
            "pictures/s": f"{event.rate:.1f}",
            "left": duration(event.left),
            "waiting": f"{event.waiting:.1%}",
        }
        losses = {name: "–" if value is None else f"{value:.4g}" for name, value in event.losses.items()}
        self._table.row(cells | losses)


def _line(event: TrainingEvent) -> str | None:
    """None for an event of which people need not hear."""
    match event:
        case Note():
            return event.message
        case Encoded():
            return f"encoded {event.pictures:,}  {event.rate:.0f}/s"
        case LeftOut():
            more = f" and {event.count - len(event.first):,} more" if event.count > len(event.first) else ""
            listed = f"; all are listed in {event.listed}" if event.listed else ""
            return f"{event.count:,} pictures left out: {'; '.join(event.first)}{more}{listed}"
        case Begun():
            return (
                f"{event.train:,} pictures to train on, {event.held_out:,} held out, {event.corrupt:,} "
                f"corrupt ones left out; {event.computed_on}"
            )
        case Sample():
            values = (f"{name} {_figure(value)}" for name, value in event.held_out.items())
            return "held out: " + "  ".join(values)
        case Exported():
            size = event.bytes / 2**20
            description = json.dumps(event.description)
            return f"{event.file}  {size:.1f} MiB  sha256 {event.sha256}  {event.card}\n{description}"
        case Packed(file=None):
            return f"seen {event.seen:,} pictures; {event.pictures:,} of them are kept for now"
        case Packed():
            shares = ", ".join(f"{count:,} of {name}" for name, count in event.by_source.items())
            size = (event.bytes or 0) / 2**20
            return (
                f"{event.file}  {size:.1f} MiB  {event.pictures:,} pictures, "
                f"{event.held_out:,} of them held out\n{shares}"
            )
        case Measured():
            return (
                f"{event.pictures:,} pictures  code {event.code_shape}  mean {event.mean:.4f}  "
                f"σ {event.deviation:.4f}"
            )
    return None


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
