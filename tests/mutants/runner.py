"""Runs the named tests against each mutant, in a copy of the tree, on servers that all runs share."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.local.servers import running
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
"""A test that hangs has noticed, too; it gets this long."""
ALL_SECONDS = 3000
"""For all tests together."""
_PASSED, _FAILED = 0, 1

Verdict = Literal["killed", "survived", "broken"]
"""broken: the tests could not be run at all, so they tell nothing."""


@dataclass(frozen=True)
class Outcome:
    """`noticed_by` is the first test that failed, and `said` what pytest printed."""

    mutant: Mutant
    verdict: Verdict
    noticed_by: str
    seconds: float
    said: str


class Copy:
    """A copy of what git knows of the tree, in which files may be broken."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        self._environment = {
            **os.environ,
            "IMAGO_TEST_HOME": str(home),
            "PYTHONPATH": os.pathsep.join(str(folder / part) for part in (".", "engine/src", "client/src")),
            # A cache of bytecode tells a changed file by its second and its size.
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def test(self, tests: Sequence[str], seconds: float = SECONDS) -> tuple[int | None, str]:
        """Run tests until one fails; pytest's exit status, None where it took too long, and what it said."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as late:
            return None, str(late)
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def broken(self, mutant: Mutant) -> Iterator[None]:
        """Inside, the copy has this change."""
        path = self.folder / mutant.file
        whole = path.read_text()
        path.write_text(mutant.applied(self.folder))
        try:
            yield
        finally:
            path.write_text(whole)


@contextmanager
def copied() -> Iterator[Copy]:
    """A copy and its servers, both gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="imago-mutants-"))
    home.chmod(0o711)  # under root PostgreSQL is another user, who must get through
    try:
        with running(home / "servers", durable=False):
            yield Copy(home / "tree", home / "servers")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def judged(copy: Copy, mutant: Mutant) -> Outcome:
    """What the tests of a mutant say of it."""
    began = time.monotonic()
    with copy.broken(mutant):
        status, said = copy.test(mutant.tests)
    verdict: Verdict = (
        "killed" if status in (_FAILED, None) else "survived" if status == _PASSED else "broken"
    )
    failed = [line for line in said.splitlines() if line.startswith("FAILED ")]
    noticed = failed[0].split("::")[-1].split(" - ")[0] if failed else "" if status else "—"
    return Outcome(mutant, verdict, noticed or "it took too long", time.monotonic() - began, said)
