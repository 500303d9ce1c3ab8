"""A generator's training as its submitter sees it: progress, losses, sample grids."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from imago.errors import ImagoError, WaitTimeout
from imago.records import Raw, when
from imago.transport import Json, Patience, Transport, path_to

TERMINAL = frozenset({"succeeded", "failed", "canceled"})
# A server that restarts in the middle of a long training should not end the watching of it.
_WATCHING = Patience(seconds=120.0, refused=120.0)


@dataclass(frozen=True)
class TrainingSample:
    """Errors on held-out pictures after so many pictures; has_grid: whether they were drawn."""

    pictures: int
    held_out: Mapping[str, float]
    has_grid: bool


class Training:
    """A generator in the making. Its attributes are what the server said last; `refresh` asks again."""

    def __init__(self, raw: Json, transport: Transport) -> None:
        self._raw = raw
        self._transport = transport

    def __repr__(self) -> str:
        return f"<Training {self.id} of {self.name}: {self.state}, {self.pictures:,} pictures>"

    @property
    def raw(self) -> Raw:
        """The training as the server's JSON."""
        return self._raw

    @property
    def id(self) -> str:
        return str(self._raw["id"])

    @property
    def name(self) -> str:
        """What the generator will be called."""
        return str(self._raw["name"])

    @property
    def state(self) -> str:
        """`queued`, `running`, `canceling`, `succeeded`, `failed` or `canceled`."""
        return str(self._raw["state"])

    @property
    def finished(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.state in TERMINAL

    @property
    def phase(self) -> str | None:
        """`preparing`, `training` or `exporting` while a worker has it."""
        phase: str | None = self._raw["progress"]["phase"]
        return phase

    @property
    def pictures(self) -> int:
        """Pictures seen so far, repeats included."""
        return int(self._raw["progress"]["pictures"])

    @property
    def total(self) -> int | None:
        """Pictures to see in all, where that is known."""
        total: int | None = self._raw["progress"]["total"]
        return total

    @property
    def rate(self) -> float | None:
        """Pictures a second."""
        rate: float | None = self._raw["progress"]["rate"]
        return rate

    @property
    def eta_seconds(self) -> float | None:
        """The server's guess of the seconds to the end, while a worker trains."""
        seconds: float | None = self._raw["progress"]["eta_seconds"]
        return seconds

    @property
    def losses(self) -> Mapping[str, float]:
        """By name, means over the last steps."""
        losses: Mapping[str, float] = self._raw["progress"]["losses"]
        return losses

    @property
    def samples(self) -> list[TrainingSample]:
        """The latest measurements on held-out pictures, the newest first."""
        return [
            TrainingSample(raw["pictures"], raw["held_out"], raw["links"]["image"] is not None)
            for raw in self._raw["samples"]
        ]

    @property
    def error(self) -> str | None:
        """Why it failed."""
        error: Json | None = self._raw["error"]
        return str(error["message"]) if error else None

    @property
    def generator(self) -> str | None:
        """Id of the generator, once it has succeeded."""
        generator: str | None = self._raw["generator"]
        return generator

    @property
    def created_at(self) -> datetime | None:
        return when(self._raw.get("created_at"))

    @property
    def finished_at(self) -> datetime | None:
        return when(self._raw.get("finished_at"))

    def refresh(self) -> "Training":
        """Ask the server how it is."""
        self._raw = self._transport.get(path_to("trainings", self.id), patience=_WATCHING)
        return self

    def cancel(self) -> "Training":
        """Ask for its end. Its log and samples stay."""
        self._raw = self._transport.post(f"{path_to('trainings', self.id)}/cancel").body
        return self

    def grid(self) -> bytes:
        """The latest sample grid, a PNG: odd rows are held-out pictures, even rows what it makes of them.

        Raises ImagoError when none was drawn yet.
        """
        for sample in self._raw["samples"]:
            if sample["links"]["image"]:
                return self._transport.get_bytes(sample["links"]["image"])
        raise ImagoError(f"{self.id} has no sample grid yet.")

    def log(self) -> bytes:
        """The log as of the last checkpoint, one JSON object a line. Raises NotFound before the first."""
        return self._transport.get_bytes(f"{path_to('trainings', self.id)}/log")

    def polls(self, timeout: float | None = None) -> Iterator["Training"]:
        """This training, refreshed every few seconds, until it is finished. Raises WaitTimeout."""
        began = time.monotonic()
        while True:
            self.refresh()
            yield self
            if self.finished:
                return
            elapsed = time.monotonic() - began
            if timeout is not None and elapsed >= timeout:
                raise WaitTimeout(f"{self.id} is still {self.state} after {timeout:g} s.")
            pause = min(5.0, 0.5 + elapsed / 20)
            time.sleep(pause if timeout is None else min(pause, timeout - elapsed))

    def wait(self, *, timeout: float | None = None) -> "Training":
        """Block until it is finished. Look at `state` afterwards."""
        for _ in self.polls(timeout):
            pass
        return self
