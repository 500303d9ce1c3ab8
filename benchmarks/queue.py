"""What the queue costs: `make bench-queue`.

Rows a second of submitting a large job, and of claiming and finishing its items in batches of 64, on a
PostgreSQL of its own. `--against REVISION` measures another revision of the code too, turn about in the same
run, so that a noisy machine disturbs both alike:

    python -m benchmarks.queue --against HEAD~1
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import outcome
from infra.local import ports
from infra.local.postgres import PostgreSQL
from infra.local.processes.supervision import interruptible, uninterrupted

CHECKOUT = Path(__file__).resolve().parent.parent
SIDE = Path(__file__).with_name("queue_side.py")
Rows = dict[str, int]
"""Rows a second of each measure."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=200_000, help="of each job (%(default)s)")
    parser.add_argument("--finish", type=int, default=8192, help="items of it to work off (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="REVISION", help="measure this one as well")
    given = parser.parse_args()
    try:
        with interruptible(), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imago-bench-")))
            folder.chmod(0o711)
            server = stack.enter_context(_postgres(folder))
            checkouts = {"now": CHECKOUT}
            if given.against:
                checkouts = {
                    given.against: stack.enter_context(checkout_of(given.against, folder)),
                    **checkouts,
                }
            sides = {
                name: stack.enter_context(_side(checkout, server, number, given.items, given.finish))
                for number, (name, checkout) in enumerate(checkouts.items())
            }
            measured = _measure(sides, given.rounds, given.items, given.finish)
    except KeyboardInterrupt:
        return 130
    median = {
        name: {measure: round(statistics.median(rows[measure] for rows in rounds)) for measure in rounds[0]}
        for name, rounds in measured.items()
    }
    summary = {"unit": "rows/s", "items": given.items, "finished": given.finish}
    outcome.write("queue", {**summary, "median": median, "rounds": measured})
    return 0


def _measure(
    sides: dict[str, "subprocess.Popen[str]"], count: int, items: int, finished: int
) -> dict[str, list[Rows]]:
    measured: dict[str, list[Rows]] = {name: [] for name in sides}
    print(f"{'round':>5} {'side':>12} {'submit':>14} {'claim + finish':>14}")
    for number in range(count):
        order = list(sides)
        # Turn about, so that neither always goes first.
        for name in order if number % 2 else reversed(order):
            seconds = _seconds(sides[name], number)
            rows = {
                "submit": round(items / seconds["submit_s"]),
                "claim_and_finish": round(finished / seconds["finish_s"]),
            }
            measured[name].append(rows)
            print(
                f"{number + 1:>5} {name:>12} {rows['submit']:>7} rows/s {rows['claim_and_finish']:>7} rows/s",
                flush=True,
            )
    return measured


def _seconds(side: "subprocess.Popen[str]", seed: int) -> dict[str, float]:
    assert side.stdin is not None
    assert side.stdout is not None
    side.stdin.write(f"{seed}\n")
    side.stdin.flush()
    line = side.stdout.readline()
    if not line:
        raise SystemExit("a side has ended; see its error above")
    seconds: dict[str, float] = json.loads(line)
    return seconds


@contextmanager
def _postgres(folder: Path) -> Iterator[PostgreSQL]:
    """As `make up` starts it: what is committed is on the disk."""
    server = PostgreSQL(folder, port=ports.pick(1)[0], password=secrets.token_urlsafe())
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        with uninterrupted():
            server.stop()


@contextmanager
def checkout_of(revision: str, folder: Path) -> Iterator[Path]:
    """Another revision of this repository in a folder of its own."""
    git = ["git", "-C", str(CHECKOUT), "worktree"]
    tree = folder / "checkout"
    subprocess.run([*git, "add", "--quiet", "--detach", tree, revision], check=True)
    try:
        yield tree
    finally:
        with uninterrupted():
            subprocess.run([*git, "remove", "--force", tree], check=True)


@contextmanager
def _side(
    checkout: Path, server: PostgreSQL, number: int, items: int, finished: int
) -> Iterator["subprocess.Popen[str]"]:
    server.administer(f"CREATE DATABASE side_{number}")
    # -P: the script's own folder, which has a `queue.py`, stays off the path.
    command = [sys.executable, "-P", SIDE, server.url_of(f"side_{number}"), str(items), str(finished)]
    side = subprocess.Popen(
        [str(word) for word in command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'engine' / 'src'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield side
    finally:
        with uninterrupted():
            side.terminate()
            side.communicate()


if __name__ == "__main__":
    sys.exit(main())
