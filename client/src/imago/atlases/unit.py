"""A unit that an atlas shows, with its facets."""

from collections.abc import Sequence
from pathlib import Path

from imago.records import Raw
from imago.transport import Json, Transport, path_to
from imago.visualizations import Visualization


class AtlasUnit:
    """A unit that an atlas shows, with its facets."""

    def __init__(self, raw: Json, transport: Transport) -> None:
        self.raw: Raw = raw
        self._transport = transport

    def __repr__(self) -> str:
        return f"<AtlasUnit {self.network}/{self.layer}/{self.unit}: {len(self.facets)} facets>"

    @property
    def network(self) -> str:
        """The network that it is a unit of."""
        return str(self.raw["network"])

    @property
    def layer(self) -> str:
        """Its layer."""
        return str(self.raw["layer"])

    @property
    def unit(self) -> int:
        """Its number."""
        return int(self.raw["unit"])

    @property
    def label(self) -> str | None:
        """The name of its class, for a unit of the output."""
        label: str | None = self.raw["label"]
        return label

    @property
    def facets(self) -> Sequence[Raw]:
        """Its pictures as the server's JSON: facet, digest, state, activation."""
        facets: Sequence[Raw] = self.raw["facets"]
        return facets

    def visualization(self, facet: int = 0) -> Visualization:
        """One of its pictures, with all that is known of it. Raises `KeyError` where the atlas has none."""
        digest = next((each["digest"] for each in self.facets if each["facet"] == facet), None)
        if digest is None:
            raise KeyError(f"{self.layer}/{self.unit} has no facet {facet}")
        return Visualization.read(self._transport.get(path_to("visualizations", digest)), self._transport)

    def save(self, folder: str | Path) -> list[Path]:
        """Write its pictures that are done; returns where they are."""
        return [
            self.visualization(each["facet"]).save(folder) for each in self.facets if each["state"] == "done"
        ]
