"""How long someone waits for one picture: `make bench-latency`.

On a service with one worker, alone, and beside a bulk job that would keep the worker busy for much longer.
The network is ready, and a first picture of its kind was made before, so neither time holds a download or a
first look at the prototypes. Each round has seeds of its own, so nothing is cached; alone and beside take
turns, so that a noisy machine disturbs both alike.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

from benchmarks import outcome
from imago import Client, Job
from infra.local.processes.supervision import interruptible
from infra.local.stack import Stack

NETWORK = "efficientnet_lite0.imagenet"
BULK_UNITS = list(range(960))
SETTLED_SECONDS = 20.0
"""How long the bulk job runs before someone comes: into its second batch, whose size the worker has
learned."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".imago/bench-latency"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None, help="steps of all pictures; else the recommended")
    arguments = parser.parse_args()
    recipe = {} if arguments.steps is None else {"steps": arguments.steps}
    os.environ.setdefault("IMAGO_LOG_LEVEL", "warning")
    try:
        with interruptible():
            rounds = _measure(arguments.home, arguments.rounds, recipe)
    except KeyboardInterrupt:
        return 130
    beside = statistics.median(r["interactive_beside_bulk_s"] for r in rounds)
    alone = statistics.median(r["alone_s"] for r in rounds)
    summary = {
        "interactive_beside_bulk_s": beside,
        "alone_s": alone,
        "difference_s": round(beside - alone, 2),
        "cores": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        **recipe,
        "rounds": rounds,
    }
    print(f"{beside:.1f} s beside bulk, {alone:.1f} s alone")
    outcome.write("latency", summary)
    return 0


def _measure(home: Path, count: int, recipe: dict[str, int]) -> list[dict[str, float]]:
    rounds: list[dict[str, float]] = []
    with Stack(home) as stack, Client(stack.api_url, key=stack.key) as client:
        client.wait_for_network(NETWORK)
        seed = int(time.time()) % 2**30
        _one_picture(client, recipe, seed)
        print(f"{'round':>5} {'beside bulk':>12} {'alone':>9} {'bulk done':>10}")
        for number in range(1, count + 1):
            alone = _one_picture(client, recipe, seed + 2 * number)
            bulk = _submit(client, BULK_UNITS, recipe, seed + 2 * number, lane="bulk")
            time.sleep(SETTLED_SECONDS)
            beside = _one_picture(client, recipe, seed + 2 * number + 1)
            done = client.job(bulk.id).units.done
            bulk.cancel()
            _wait_until_idle(client)
            measured = {"interactive_beside_bulk_s": round(beside, 2), "alone_s": round(alone, 2)}
            rounds.append({**measured, "bulk_pictures": done})
            print(f"{number:>5} {beside:>10.1f} s {alone:>7.1f} s {done:>10}", flush=True)
    return rounds


def _one_picture(client: Client, recipe: dict[str, int], seed: int) -> float:
    """Seconds from the POST until one picture is there."""
    began = time.monotonic()
    job = _submit(client, [7], recipe, seed, lane="interactive")
    job.wait()
    if job.units.done != 1:
        raise SystemExit(f"the job ended {job.state} with {job.units}")
    return time.monotonic() - began


def _submit(client: Client, units: list[int], recipe: dict[str, int], seed: int, *, lane: str) -> Job:
    return client.submit(NETWORK, {"output": units}, seeds=[seed], parameters=recipe or None, lane=lane)


def _wait_until_idle(client: Client) -> None:
    while any(lane.leased for lane in client.queue().lanes):
        time.sleep(0.5)


if __name__ == "__main__":
    raise SystemExit(main())
