"""Looking at real pictures with a network, as its submitter sees it."""

from collections.abc import Sequence

from imago.watched import PictureRun


class Scan(PictureRun):
    """A scan of real pictures. Its attributes are what the server said last; `refresh` asks again."""

    _collection = "scans"

    def __repr__(self) -> str:
        return f"<Scan {self.id} with {self.network}: {self.state}, {self.pictures:,} pictures>"

    @property
    def network(self) -> str:
        """Id of the network that looks."""
        return str(self._raw["network"])

    @property
    def layers(self) -> Sequence[str]:
        """Names of the layers that are watched."""
        return tuple(self._raw["layers"])

    @property
    def phase(self) -> str | None:
        """`looking` while pictures pass through the network, `cropping` while exemplars are cut out."""
        phase: str | None = self._raw["progress"]["phase"]
        return phase

    @property
    def pictures(self) -> int:
        """Pictures that the network has seen."""
        return int(self._raw["progress"]["pictures"])

    @property
    def left_out(self) -> int:
        """Pictures that could not be read or decoded."""
        return int(self._raw["progress"]["left_out"])

    @property
    def crops(self) -> int:
        """Exemplars that were cut out."""
        return int(self._raw["progress"]["crops"])

    def cancel(self) -> "Scan":
        """Ask for its end. Nothing of what it found is shown."""
        return self._ask("cancel")
