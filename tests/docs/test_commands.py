"""What the documentation tells people to type works as it is printed, against a whole imago of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from infra.local.stack import Stack
from tests.docs.blocks import COMMANDS, ROOT, Block, blocks_of, pages

_NOTEBOOK = """
import sys
for file in sys.argv[1:]:
    print("#", file, flush=True)
    with open(file) as script:
        exec(compile(script.read(), file, "exec"), {"__name__": "__main__"})
"""
BLOCKS = [block for page in pages() for block in blocks_of(page)]
RUN = [block for block in BLOCKS if block.runs]
DEAR = {"engine/README.md"}
"""Pages whose pictures are of the shipped generator, and take minutes."""
SECONDS = 300
"""For one block, on a busy machine."""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_whether_it_is_run_and_if_not_why(block: Block) -> None:
    if block.language in COMMANDS:
        assert block.runs or block.reason, (
            f"{block}: put <!-- runs --> or <!-- does not run: the reason --> on the line before this block"
        )
    else:
        assert block.language in ("text", "json", "mermaid"), (
            f"{block}: what is this? {', '.join(COMMANDS)} if people are to type it, else text"
        )
        assert block.mark is None


def test_readmes_are_run() -> None:
    assert {"README.md", "client/README.md", "engine/README.md"} <= {block.page for block in RUN}


@dataclass
class Reader:
    """Someone who types what a page says, in its order, in one folder."""

    url: str
    key: str
    folder: Path
    environment: dict[str, str]

    def types(self, blocks: Sequence[Block]) -> None:
        """Run one block, or those of Python that follow each other; fails with all that they printed unless
        they end with 0.

        Those of Python are typed into one notebook, each without what the others have named: most of what
        each would take alone is the start of torch.
        """
        scripts = [self._filled_in(block.script) for block in blocks]
        if blocks[0].language == "python":
            command: list[str | Path] = [sys.executable, "-c", _NOTEBOOK, *self._files(blocks, scripts)]
        else:
            command = ["bash", "-euc", "\n".join(scripts)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS * len(blocks),
        )
        typed = "\n".join(scripts)
        assert done.returncode == 0, f"{blocks[0]} ended with {done.returncode}:\n{typed}\n{done.stdout}"
        if job := re.findall(r"\bjob_[0-9a-z]{8,}", done.stdout):
            self._last_job = job[-1]

    _last_job = "job_…"

    def _files(self, blocks: Sequence[Block], scripts: Sequence[str]) -> list[Path]:
        """A file for each script, named as its block is found."""
        files = [self.folder / str(block).replace("/", "_") for block in blocks]
        for file, script in zip(files, scripts, strict=True):
            file.write_text(script)
        return files

    def _filled_in(self, script: str) -> str:
        """With this server's address and key, and the last job, where the page has those of an example."""
        script = script.replace("http://127.0.0.1:8000", self.url).replace("imago_…", self.key)
        return script.replace("job_…", self._last_job)


@pytest.fixture
def reader(stack: Stack, tmp_path: Path) -> Reader:
    """Someone with an empty folder, in which the files lie that a checkout has, and `imago` on the path."""
    shipped = tmp_path / "engine/src/imago_engine/weights" / "default.safetensors"
    shipped.parent.mkdir(parents=True)
    shutil.copy(os.environ["IMAGO_GENERATOR_PATH"], shipped)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(f'export PATH="{commands}:$PATH"\n')
    _write_command(commands / "imago", "-m", "imago")
    _write_command(commands / "python")
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'client' / 'src'}:{ROOT / 'engine' / 'src'}",
        "PYTHONUTF8": "1",
        "IMAGO_CONFIG_DIR": str(tmp_path / "config"),
    }
    return Reader(stack.api_url, stack.key, tmp_path, environment)


def _write_command(path: Path, *arguments: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {" ".join(arguments)} "$@"\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.thorough if page in DEAR else ())
        for page in sorted({block.page for block in RUN})
    ],
)
def test_what_a_page_says_to_type_works_as_it_is_printed(page: str, reader: Reader) -> None:
    of_page = (block for block in RUN if block.page == page)
    for _, blocks in groupby(of_page, key=lambda block: "one" if block.language == "python" else str(block)):
        reader.types(list(blocks))
