"""The atlases of a server: make one, estimate one, find those that there are."""

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from imago.atlases.atlas import Atlas
from imago.atlases.records import AtlasEstimate
from imago.atlases.words import listed
from imago.exports.importing import OnImport, import_atlas
from imago.transport import Json, Transport, path_to


class Atlases:
    """The atlases of a server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, network: str, *, idempotency_key: str | None = None, **asked: Any) -> Atlas:
        """Have an atlas built. asked: as `estimate` takes it, and name and visibility.

        idempotency_key: by default a fresh one, so that a POST sent again after a lost answer makes no second
        atlas.
        """
        answer = self._transport.post(
            path_to("atlases"),
            _request(network, **asked),
            idempotency_key=idempotency_key or str(uuid.uuid4()),
        )
        return Atlas(answer.body, self._transport)

    def estimate(self, network: str, **asked: Any) -> AtlasEstimate:
        """What an atlas would take; makes nothing.

        asked: layers (`blocks`, `convolutions`, `all`, names, patterns, or a list), units (of each layer),
        facets (pictures of each unit), technique, parameters and generator.
        """
        answer = self._transport.post(f"{path_to('atlases')}:estimate", _request(network, **asked))
        return AtlasEstimate.read(answer.body)

    def get(self, id: str) -> Atlas:
        """An atlas by its id."""
        return Atlas(self._transport.get(path_to("atlases", id)), self._transport)

    def load(self, path: str | os.PathLike[str], on_progress: OnImport | None = None) -> Atlas:
        """Import an exported atlas, a folder or a tar, into this server; returns the atlas there.

        It is checked first: `DamagedExport` where it is not whole. Stopped anywhere, the same call goes on.
        Needs a key with the scope `admin`.
        """
        return self.get(import_atlas(self._transport, path, on_progress))

    def list(
        self,
        *,
        network: str | None = None,
        owner: str | None = None,
        name: str | None = None,
        limit: int = 50,
    ) -> list[Atlas]:
        """The latest atlases, newest first."""
        filters = {"network": network, "owner": owner, "name": name}
        found = self._transport.entries(path_to("atlases"), filters, limit)
        return [Atlas(raw, self._transport) for raw in found]


def _request(
    network: str,
    *,
    name: str | None = None,
    layers: str | Sequence[str] | None = None,
    units: str | Sequence[int] | None = None,
    facets: int | None = None,
    technique: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    generator: str | None = None,
    visibility: str | None = None,
) -> Json:
    recipe = {"technique": technique, "parameters": dict(parameters) if parameters else None}
    given = {field: value for field, value in recipe.items() if value is not None}
    asked = {
        "network": network,
        "name": name,
        "layers": listed(layers),
        "units": listed(units),
        "facets": facets,
        "recipe": given or None,
        "generator": generator,
        "visibility": visibility,
    }
    return {field: value for field, value in asked.items() if value is not None}
