"""The pictures of two engines, made turn about by a process each and kept, for `benchmarks.engine`."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from infra.local.processes.supervision import uninterrupted

ROOT = Path(__file__).parents[2]
SIDE = Path(__file__).with_name("side.py")
SHIPPED = Path("imago_engine", "weights", "default.safetensors")
"""The default generator, from an engine's source folder. Later engines read the files of earlier ones."""
BATCH = 16
"""Pictures a turn: full groups of either engine on two cores."""


@dataclass(frozen=True)
class Engine:
    """An engine to measure: its source folder, and what it is asked for."""

    name: str
    source: Path
    asked: dict[str, Any]

    @property
    def digest(self) -> str:
        """Names what was made by this engine: all of its code, and what it was asked for."""
        found = sha256(json.dumps(self.asked, sort_keys=True).encode())
        for path in sorted(self.source.rglob("*")):
            if path.suffix in (".py", ".safetensors") and "training" not in path.parts:
                found.update(path.relative_to(self.source).as_posix().encode() + path.read_bytes())
        return found.hexdigest()[:12]


@dataclass(frozen=True)
class Made:
    """Of one engine: `images` uint8 [N, 3, S, S], `activations` [N], seconds of each turn."""

    images: np.ndarray[Any, Any]
    activations: np.ndarray[Any, Any]
    wall: list[float]
    cpu: list[float]
    recipe: dict[str, Any]


def engine_source_at(revision: str, cache: Path) -> Path:
    """The folder with the engine's packages at a git revision, unpacked once."""
    full = subprocess.run(
        ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    folder = cache / f"engine-{full[:12]}"
    if not folder.exists():
        archive = subprocess.run(
            ["git", "archive", full, "engine/src"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        ).stdout
        unfinished = folder.with_suffix(f".{os.getpid()}")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(unfinished, filter="data")
        unfinished.rename(folder)
    return folder / "engine" / "src"


def both_made(engines: Sequence[Engine], units: Sequence[int], seed: int, cache: Path) -> list[Made]:
    """What each engine makes of the units, each turn by one after the other: a busy machine slows all alike.

    A turn that is kept whole is not made again.
    """
    name = "-".join(engine.digest for engine in engines)
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    turns = [units[start : start + BATCH] for start in range(0, len(units), BATCH)]
    kept = [[folder / f"{_name(turn, seed)}-{engine.name}.npz" for engine in engines] for turn in turns]
    todo = [n for n, paths in enumerate(kept) if not all(path.exists() for path in paths)]
    recipes = folder / "recipes.json"
    if todo or not recipes.exists():
        with ExitStack() as stack:
            sides = [stack.enter_context(_side(engine)) for engine in engines]
            recipes.write_text(json.dumps([side.recipe for side in sides]))
            _make(sides, turns, kept, todo, seed)
    return [
        _read([paths[n] for paths in kept], json.loads(recipes.read_text())[n]) for n in range(len(engines))
    ]


def _make(
    sides: "Sequence[_Side]",
    turns: Sequence[Sequence[int]],
    kept: list[list[Path]],
    todo: list[int],
    seed: int,
) -> None:
    for side in sides:
        side.make(turns[0], seed + 1, None)  # what is looked at and remembered once is not measured
    began = time.monotonic()
    for count, n in enumerate(todo):
        order = range(len(sides)) if n % 2 else reversed(range(len(sides)))  # neither is always first
        for which in order:
            sides[which].make(turns[n], seed, kept[n][which])
        left = (time.monotonic() - began) / (count + 1) * (len(todo) - count - 1)
        print(
            f"{n + 1} of {len(turns)} turns of {BATCH} pictures, {left / 60:.1f} min left",
            file=sys.stderr,
            flush=True,
        )


class _Side:
    """An engine's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.recipe: dict[str, Any] = json.loads(self._line())

    def make(self, units: Sequence[int], seed: int, out: Path | None) -> None:
        assert self._process.stdin is not None
        unfinished = None if out is None else out.with_suffix(".unfinished")
        task = {"units": list(units), "seed": seed, "out": None if out is None else str(unfinished)}
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        self._line()
        if out is not None and unfinished is not None:
            unfinished.rename(out)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("one of the engines ended; what it said is above")
        return line


@contextmanager
def _side(engine: Engine) -> Iterator[_Side]:
    # -P: the folder of the script, which has a `queue.py`, is no place to import from.
    command = [sys.executable, "-P", str(SIDE), json.dumps(engine.asked)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": str(engine.source)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield _Side(process)
        finally:
            with uninterrupted():
                process.terminate()


def _name(units: Sequence[int], seed: int) -> str:
    return f"{units[0]:04d}-" + sha256(json.dumps([list(units), seed]).encode()).hexdigest()[:12]


def _read(paths: Sequence[Path], recipe: dict[str, Any]) -> Made:
    parts = [dict(np.load(path)) for path in paths]
    wall, cpu = ([float(part["seconds"][which]) for part in parts] for which in (0, 1))
    images, activations = (np.concatenate([part[key] for part in parts]) for key in ("images", "activations"))
    return Made(images, activations, wall, cpu, recipe)
