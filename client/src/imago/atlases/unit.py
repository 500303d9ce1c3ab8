"""A unit that an atlas shows, with its facets."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imago.files import open_image
from imago.records import Raw
from imago.transport import Json, Transport, path_to
from imago.visualizations import Visualization, figure

if TYPE_CHECKING:
    from PIL.Image import Image


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
        digest = self._digest(facet)
        return Visualization.read(self._transport.get(path_to("visualizations", digest)), self._transport)

    def image_bytes(self, facet: int = 0, *, size: int | None = None, format: str | None = None) -> bytes:
        """One of its pictures, a PNG unless told otherwise.

        size: pixels of its longer side, 64, 128, 256 or 512; nothing is enlarged. format: `png`, `webp`,
        `avif` or `jpg`.
        """
        path = path_to("visualizations", self._digest(facet), "image")
        return self._transport.get_bytes(path, {"size": size, "format": format})

    def image(self, facet: int = 0, *, size: int | None = None, format: str | None = None) -> "Image":
        """One of its pictures as a PIL image (needs the `pictures` extra); see `image_bytes`."""
        return open_image(self.image_bytes(facet, size=size, format=format))

    def _repr_html_(self) -> str:
        """Its facets side by side, for notebooks."""
        shown = "".join(map(self._shown, self.facets))
        return f"<div><b>{html.escape(self._title)}</b><div>{shown}</div></div>"

    def thumbnail(self, width: int) -> str:
        """The first of its pictures that is done, so wide, as HTML for notebooks; empty where none is."""
        done = (each["facet"] for each in self.facets if each["state"] == "done")
        if (facet := next(done, None)) is None:
            return ""
        caption = f"{self.unit} {self.label or ''}"
        return figure(self.image_bytes(facet), self._title, caption, width=width)

    @property
    def _title(self) -> str:
        name = f" ({self.label})" if self.label else ""
        return f"{self.network}/{self.layer}/{self.unit}{name}"

    def _shown(self, facet: Raw) -> str:
        number = facet["facet"]
        if facet["state"] != "done":
            return f"<p>facet {number}: {html.escape(facet['state'])}</p>"
        measured = "" if facet["activation"] is None else f" · activation {facet['activation']:.3g}"
        return figure(self.image_bytes(number), self._title, f"facet {number}{measured}")

    def _digest(self, facet: int) -> str:
        for each in self.facets:
            if each["facet"] == facet:
                return str(each["digest"])
        raise KeyError(f"{self.layer}/{self.unit} has no facet {facet}")

    def save(self, folder: str | Path) -> list[Path]:
        """Write its pictures that are done into a folder, which is made where there is none; returns where
        they are."""
        done = [self.visualization(each["facet"]) for each in self.facets if each["state"] == "done"]
        return [picture.save(Path(folder, picture.filename())) for picture in done]
