"""How many reads a second the API answers, and how quickly: `make bench-reads`.

wrk asks for the same address over 32 connections from one thread, on the machine of the server, which runs
as `make up` starts it: what never changes (a picture, its 304, the JSON of a finished visualization) and what
may be two seconds old (a unit's JSON and picture). `--against REVISION` measures another revision of the code
too, turn about in the same run:

    python -m benchmarks.reads --against HEAD~1
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks import outcome
from benchmarks.queue import checkout_of
from benchmarks.reads_scene import CHECKOUT, Scene, running_servers, served
from infra.local.processes.supervision import interruptible

CONNECTIONS = 32
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s|m)\b")
_FAILED = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
Row = dict[str, str | float]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="REVISION", help="measure this one as well")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not there: apt-get install wrk, or brew install wrk", file=sys.stderr)
        return 1
    try:
        with interruptible(), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imago-bench-")))
            folder.chmod(0o711)
            checkouts = {"now": CHECKOUT}
            if given.against:
                checkouts[given.against] = stack.enter_context(checkout_of(given.against, folder))
            endpoints, digest = stack.enter_context(running_servers(folder / "servers"))
            sides = {
                name: Scene(stack.enter_context(served(endpoints, checkout)), digest)
                for name, checkout in checkouts.items()
            }
            rows = _measure(sides, given.rounds, given.seconds)
    except KeyboardInterrupt:
        return 130
    summary: dict[str, object] = {"rows": rows["now"]}
    if given.against:
        summary["against"] = {"revision": given.against, "rows": rows[given.against]}
    outcome.write("reads", summary)
    return 0


def _measure(sides: Mapping[str, Scene], rounds: int, seconds: int) -> dict[str, list[Row]]:
    measured: dict[str, list[Row]] = {name: [] for name in sides}
    print(f"{'what':<28} {'side':>10} {'a second':>9} {'p99':>9}")
    for what in _paths(next(iter(sides.values()))):
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for number in range(rounds):
            # Turn about, so that neither always goes first.
            for name in list(sides) if number % 2 else reversed(list(sides)):
                path, headers = _paths(sides[name])[what]
                found[name].append(_wrk(sides[name].url + path, headers, seconds))
        for name, results in found.items():
            rate, p99 = (statistics.median(result[part] for result in results) for part in (0, 1))
            measured[name].append({"what": what, "per_second": round(rate), "p99_ms": round(p99, 1)})
            print(f"{what:<28} {name:>10} {rate:>9.0f} {p99:>6.1f} ms", flush=True)
    return measured


def _paths(scene: Scene) -> dict[str, tuple[str, list[str]]]:
    """What is read: path and headers."""
    with urllib.request.urlopen(scene.url + scene.picture, timeout=60) as answer:
        etag = answer.headers["ETag"]
    return {
        "picture": (scene.picture, []),
        "picture, 304": (scene.picture, [f"If-None-Match: {etag}"]),
        "finished visualization, JSON": (scene.visualization, []),
        "unit, JSON": (scene.unit, []),
        "unit, picture": (f"{scene.unit}/image", []),
    }


def _wrk(url: str, headers: list[str], seconds: int) -> tuple[float, float]:
    """Requests a second, and the milliseconds within which 99 % were answered."""
    told = [word for header in headers for word in ("-H", header)]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency", *told, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if (failed := _FAILED.search(said)) is not None:
        raise SystemExit(f"{url}: {failed[0]}")
    rate, p99 = _RATE.search(said), _P99.search(said)
    if rate is None or p99 is None:
        raise SystemExit(f"wrk said something else:\n{said}")
    return float(rate[1]), float(p99[1]) * _MILLISECONDS[p99[2]]


if __name__ == "__main__":
    sys.exit(main())
