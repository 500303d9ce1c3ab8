"""What can be asked of a server's search: part of the client."""

import base64
import os
from collections.abc import Iterator

from imago.events.waiting import Wait
from imago.search.comparison import Comparison
from imago.search.found import Change, Excitation, Found
from imago.search.photograph import small
from imago.transport import Parameters, Transport, path_to


class Searches:
    """The methods of `Client` that search."""

    _transport: Transport

    def search(
        self,
        label: str | None = None,
        *,
        state: str | None = None,
        network: str | None = None,
        layer: str | None = None,
        min_percentile: float | None = None,
        limit: int | None = None,
    ) -> Iterator[Found]:
        """Units whose pictures are seen as a class, the most probable first, page by page as you iterate.

        With a state instead of a label: `unreachable` for units of which no picture can exist, `dead` for
        those that no real picture excites which was scanned. min_percentile: only pictures that excite their
        unit more than so many of 100 scanned ones. NotFound says which labels may be meant by one that there
        is not.
        """
        filters: Parameters = {
            "label": label,
            "state": state,
            "network": network,
            "layer": layer,
            "min_percentile": None if min_percentile is None else str(min_percentile),
        }
        for raw in self._transport.entries(path_to("search", "units"), filters, limit):
            yield Found.read(raw)

    def labels(self, prefix: str, *, network: str | None = None) -> list[str]:
        """Labels that begin so, or with a word that does."""
        found: list[str] = self._transport.get(
            path_to("search", "labels"), {"prefix": prefix, "network": network}
        )["data"]
        return found

    def changes(
        self,
        network: str,
        layer: str,
        other: str,
        *,
        other_layer: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Change]:
        """Units of a layer by how unlike their pictures are to those of another network, the most changed
        first.
        """
        compared: Parameters = {
            "network": network,
            "layer": layer,
            "other": other,
            "other_layer": other_layer,
        }
        for raw in self._transport.entries(path_to("search", "changes"), compared, limit):
            yield Change.read(raw)

    def compare(self, a: str, b: str) -> Comparison:
        """Two versions of atlases side by side, each as `ATLAS` (its latest) or `ATLAS@VERSION`: checkpoints,
        recipes, generators, or networks with like layers. `wait()` for it: workers make it.
        """
        return Comparison.get(a, b, self._transport)

    def excites(
        self, photograph: bytes | str | os.PathLike[str], network: str, layer: str, *, timeout: float = 60.0
    ) -> Excitation:
        """What a photograph excites, once a worker has looked: the units of a layer that respond most, and
        those whose pictures look like it.

        photograph: the bytes or the path of a JPEG, PNG or WebP; large ones are reduced before they are sent
        (needs the `pictures` extra). WaitTimeout if no worker has looked by then.
        """
        body = {
            "network": network,
            "layer": layer,
            "photograph": base64.b64encode(small(photograph)).decode(),
        }
        wait = Wait(self._transport, timeout, lambda: "No worker has looked at the photograph", seen=False)
        found = Excitation.read(wait.post(path_to("search", "excitations"), body))
        while found.state == "queued":
            wait.pause(0.3)
            found = Excitation.read(wait.get(path_to("search", "excitations", found.id)))
        return found
