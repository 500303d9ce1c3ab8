"""What the commands share: the client, and how they speak to people and to programs.

Results go to stdout, remarks and errors to stderr, so that stdout can be piped. With --json stdout holds JSON
and nothing else.
"""

import functools
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TextIO, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imago.cli.free_text import one_line, shortened
from imago.cli.in_commands import in_commands
from imago.client import Client
from imago.errors import ImagoError
from imago.records import Raw

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]


class HasRaw(Protocol):
    """An object that keeps the server's answer that it was made of."""

    @property
    def raw(self) -> Raw: ...


Listed = TypeVar("Listed", bound=HasRaw)


@dataclass
class Session:
    """One run of the command: `url` and `key` as given there, `as_json` once a command has said so."""

    url: str | None = None
    key: str | None = None
    as_json: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    @functools.cached_property
    def client(self) -> Client:
        """The client of the server that the command speaks to."""
        return Client(self.url, self.key)

    def close(self) -> None:
        """Close the client's connections, if any were made."""
        if "client" in self.__dict__:
            self.client.close()

    def emit(self, document: Any) -> None:
        """A whole JSON document on stdout."""
        print(json.dumps(document, indent=2, ensure_ascii=_is_narrow(sys.stdout), default=str))

    def emit_line(self, document: Any) -> None:
        """One JSON document on one line of stdout, at once: for streams."""
        print(json.dumps(document, ensure_ascii=_is_narrow(sys.stdout), default=str), flush=True)

    def say(self, text: str, style: str = "") -> None:
        """A line of the result. Never interpreted as markup: names may hold brackets."""
        if self.out.is_terminal:
            self.out.print(Text(text, style=style), soft_wrap=True)
        else:
            print(text, flush=True)

    def remark(self, text: str, style: str = "dim") -> None:
        """A line beside the result, on stderr."""
        self.err.print(Text(text, style=style), soft_wrap=True)

    def listing(
        self,
        found: Sequence[Listed],
        columns: Sequence[str],
        row: Callable[[Listed], Sequence[object]],
        *,
        in_full: str = "",
    ) -> None:
        """What was found: for programs whole, for people a row of a table each. in_full: see `table`."""
        if self.as_json:
            self.emit({"data": [each.raw for each in found]})
        else:
            self.table(columns, map(row, found), in_full=in_full)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, in_full: str = "") -> None:
        """Rows under headings; outside a terminal aligned by blanks.

        in_full: the command that shows in full what the last column holds, which is free text then and is
        shortened so that a row fits on a line. Nothing else is ever cut.
        """
        cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
        whole = [row[-1] for row in cells]
        if in_full:
            width = _room_for_last(columns, cells, self.out.width if self.out.is_terminal else _PIPE_WIDTH)
            cells = [[*row[:-1], shortened(row[-1], width)] for row in cells]
        self._print_table(columns, cells)
        if any(one_line(text) != row[-1] for text, row in zip(whole, cells, strict=True) if in_full):
            self.remark(f"In full: {in_full}")

    def _print_table(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        if self.out.is_terminal:
            table = Table(box=None, header_style="bold", pad_edge=False)
            for name in columns:
                table.add_column(Text(name), overflow="fold")
            for row in cells:
                table.add_row(*(Text(cell, style=_STATE_STYLES.get(cell, "")) for cell in row))
            self.out.print(table)
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in [list(columns), *cells]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def show_error(self, error: ImagoError, code: int) -> None:
        """The error on stderr: as JSON for programs, in red with one line a field for people."""
        if self.as_json:
            fields = [
                {"pointer": wrong.pointer, "detail": in_commands(wrong.detail)} for wrong in error.errors
            ]
            document = {
                "message": in_commands(error.message),
                "status": error.status,
                "errors": fields,
                "request_id": error.request_id,
                "exit_code": code,
            }
            print(json.dumps({"error": document}, ensure_ascii=_is_narrow(sys.stderr)), file=sys.stderr)
            return
        headline, _, rest = in_commands(str(error)).partition("\n")
        self.err.print(Text.assemble(("Error: ", "bold red"), headline), soft_wrap=True)
        if rest:
            self.err.print(Text(rest), soft_wrap=True)
        if error.status is not None and error.status >= 500 and error.request_id:
            self.remark(f"Request {error.request_id}; the server's log tells more.")


def write_all_that_can_be_written() -> None:
    """Have stdout and stderr write `?` for what their encoding lacks, such as names on a pipe of Windows,
    instead of failing in the midst of a result."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _is_narrow(stream: TextIO) -> bool:
    """Whether there are characters that it cannot write: JSON has escapes for them."""
    return (stream.encoding or "").lower().replace("_", "-") not in ("utf-8", "utf8")


_PIPE_WIDTH = 120
"""Columns of a line that no terminal bounds."""
_LEAST_ROOM = 24


def _room_for_last(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> int:
    """Characters that the other columns leave the last one on a line of `width`."""
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    return max(width - sum(widths[:-1]) - 2 * len(widths), _LEAST_ROOM)


_STATE_STYLES = {
    "ready": "green",
    "done": "green",
    "succeeded": "green",
    "complete": "green",
    "running": "cyan",
    "leased": "cyan",
    "building": "cyan",
    "planning": "cyan",
    "paused": "yellow",
    "pending": "yellow",
    "queued": "yellow",
    "canceling": "yellow",
    "canceled": "yellow",
    "unreachable": "yellow",
    "failed": "red",
}


def state_style(state: str) -> str:
    """The colour of a state's name."""
    return _STATE_STYLES.get(state, "")


def session_of(context: typer.Context, as_json: bool) -> Session:
    """The session of this run, told that a command was asked for JSON."""
    session = context.obj
    assert isinstance(session, Session)
    session.as_json = session.as_json or as_json
    return session
