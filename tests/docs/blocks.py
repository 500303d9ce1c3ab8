"""The blocks of commands in the documentation, and whether they are run.

The line before a block of commands says so, in a comment that readers do not see:

    <!-- runs -->
    <!-- does not run: it needs Docker -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("sh", "console", "python")
"""Languages of blocks that a reader would type; `text`, `json` and the like are only looked at."""
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S
)
_PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is that of its fence, from 1; `mark` the comment before it, if any."""

    page: str
    line: int
    language: str
    mark: str | None
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.mark == "runs"

    @property
    def reason(self) -> str | None:
        """Why it is not run, in the words of the page."""
        _, found, reason = (self.mark or "").partition("does not run: ")
        return reason.strip() or None if found else None

    @property
    def script(self) -> str:
        """What is to be typed: of a `console` block only the lines after a prompt."""
        if self.language != "console":
            return self.body
        lines = [line for line in self.body.splitlines() if line.startswith(_PROMPT)]
        return "\n".join(line.removeprefix(_PROMPT) for line in lines)


def pages() -> list[Path]:
    """All pages that tell people what to type."""
    found = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "client/README.md",
        ROOT / "engine/README.md",
    ]
    return [
        *found,
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "engine/src/imago_engine/weights").glob("*.md")),
    ]


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        fence = match.start("language")
        yield Block(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, fence) + 1,
            language=match["language"].strip(),
            mark=match["mark"],
            body=match["body"],
        )
