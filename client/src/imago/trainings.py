"""A generator's training as its submitter sees it: progress, losses, sample grids."""

from collections.abc import Mapping
from dataclasses import dataclass

from imago.errors import ImagoError
from imago.watched import PictureRun


@dataclass(frozen=True)
class TrainingSample:
    """Errors on held-out pictures after so many pictures; has_grid: whether they were drawn."""

    pictures: int
    held_out: Mapping[str, float]
    has_grid: bool


class Training(PictureRun):
    """A generator in the making. Its attributes are what the server said last; `refresh` asks again."""

    _collection = "trainings"

    def __repr__(self) -> str:
        return f"<Training {self.id} of {self.name}: {self.state}, {self.pictures:,} pictures>"

    @property
    def name(self) -> str:
        """What the generator will be called."""
        return str(self._raw["name"])

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
    def generator(self) -> str | None:
        """Id of the generator, once it has succeeded."""
        generator: str | None = self._raw["generator"]
        return generator

    def cancel(self) -> "Training":
        """Ask for its end. Its log and samples stay."""
        return self._ask("cancel")

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
        return self._transport.get_bytes(f"{self._path}/log")
