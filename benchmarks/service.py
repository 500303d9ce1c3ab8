"""What the service costs: `make bench-service`.

The same 64 output neurons are synthesized in one call of the library and through the whole service (API,
queue, worker, store), one after the other in one run, several rounds, so that a noisy machine disturbs both
alike. Both are warm: network and generator are loaded, and a first job has gone through. Each round has its
own seed, so nothing is cached.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from benchmarks import outcome
from imago import Client
from infra.local.processes.supervision import interruptible, uninterrupted
from infra.local.stack import Stack

NETWORK = "efficientnet_lite0.imagenet"
UNITS = list(range(0, 960, 15))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".imago/bench-service"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--input-size", type=int, default=128)
    arguments = parser.parse_args()
    recipe = {"steps": arguments.steps, "input_size": arguments.input_size}
    os.environ.setdefault("IMAGO_LOG_LEVEL", "warning")
    try:
        with interruptible():
            rounds = _measure(arguments.home, arguments.rounds, recipe)
    except KeyboardInterrupt:
        return 130
    summary = {
        "library_s": statistics.median(r["library_s"] for r in rounds),
        "service_s": statistics.median(r["service_s"] for r in rounds),
        "ratio": round(statistics.median(r["service_s"] / r["library_s"] for r in rounds), 3),
        "items": len(UNITS),
        **recipe,
        "rounds": rounds,
    }
    print(f"median ratio {summary['ratio']}")
    outcome.write("service", summary)
    return 0


def _measure(home: Path, count: int, recipe: dict[str, int]) -> list[dict[str, float]]:
    """Seconds of both sides, a round each."""
    rounds: list[dict[str, float]] = []
    with (
        _Library(recipe) as library,
        Stack(home) as stack,
        Client(stack.api_url, key=stack.key) as client,
    ):
        client.wait_for_network(NETWORK)
        base = int(time.time())
        library.seconds(base)
        _service_seconds(client, recipe, base)
        print(f"{'round':>5} {'library':>9} {'service':>9} {'ratio':>6}")
        for number in range(1, count + 1):
            # Turn about, so that neither always goes first.
            if number % 2:
                alone = library.seconds(base + number)
                served = _service_seconds(client, recipe, base + number)
            else:
                served = _service_seconds(client, recipe, base + number)
                alone = library.seconds(base + number)
            rounds.append({"library_s": round(alone, 2), "service_s": round(served, 2)})
            print(f"{number:>5} {alone:>7.1f} s {served:>7.1f} s {served / alone:>6.3f}", flush=True)
    return rounds


def _service_seconds(client: Client, recipe: dict[str, int], seed: int) -> float:
    """From the POST to the last picture's bytes being there."""
    began = time.monotonic()
    job = client.submit(NETWORK, {"classifier": UNITS}, seeds=[seed % 2**31], parameters=recipe)
    job.wait()
    if job.units.done != len(UNITS):
        raise SystemExit(f"the job ended {job.state} with {job.units}")
    return time.monotonic() - began


class _Library:
    """The bare library in a process of its own, as a notebook would use it: one call, one batch."""

    def __init__(self, recipe: dict[str, int]) -> None:
        module = "benchmarks.service_library"
        command = [sys.executable, "-m", module, NETWORK, json.dumps(recipe), json.dumps(UNITS)]
        # The same rule for waiting threads as in the worker.
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def seconds(self, seed: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seed % 2**31}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with uninterrupted():
            self._process.terminate()
            self._process.communicate()


if __name__ == "__main__":
    sys.exit(main())
