"""`make sweep-networks`: try every architecture, each in a process of its own, and write docs/networks.md."""

import argparse
import fnmatch
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.networks import report, state
from benchmarks.networks.architectures import all_of_them
from benchmarks.networks.processes import Processes
from benchmarks.networks.trial import Trial

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    arguments = _parser().parse_args()
    everything = all_of_them()
    trials = state.read(arguments.state)
    again = set(arguments.again.split(",")) if arguments.again else set()
    waiting = [
        id
        for id in everything
        if fnmatch.fnmatch(id, arguments.only) and (id not in trials or trials[id].outcome in again)
    ]
    until = time.monotonic() + 60 * arguments.minutes if arguments.minutes else float("inf")
    processes = Processes(arguments.seconds, arguments.memory)

    def attempt(id: str) -> Trial | None:
        return processes.attempt(id) if time.monotonic() < until else None

    with ThreadPoolExecutor(arguments.at_once) as threads:
        for number, trial in enumerate(threads.map(attempt, waiting), 1):
            if trial is None:
                break
            state.append(arguments.state, trial)
            trials[trial.id] = trial
            print(
                f"{number}/{len(waiting)} {trial.id}: {trial.outcome} {trial.why[:100]} ({trial.seconds} s)",
                flush=True,
            )
    known = [trials[id] for id in everything if id in trials]
    report.write(arguments.page, known, everything, arguments.seconds, arguments.memory)
    faults = [trial for trial in known if trial.outcome == "fault"]
    print(f"{len(known)} of {len(everything)} tried, {len(faults)} faults; written to {arguments.page}")
    raise SystemExit(bool(faults))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make sweep-networks", description=__doc__)
    parser.add_argument("--only", default="*", help="a pattern of names, such as timm:resnet*")
    parser.add_argument("--again", default="", help="outcomes to try again, such as fault,refused")
    parser.add_argument("--minutes", type=float, help="end after about so long; the next sweep goes on")
    parser.add_argument("--seconds", type=float, default=120, help="of processor time for each")
    parser.add_argument("--at-once", type=int, default=1, help="trials side by side, one thread each")
    parser.add_argument("--memory", type=float, default=8, help="GB for each")
    parser.add_argument("--state", type=Path, default=ROOT / "benchmarks" / "results" / "networks.jsonl")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "networks.md")
    return parser


if __name__ == "__main__":
    main()
