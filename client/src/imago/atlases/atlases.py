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

    def create(
        self,
        network: str,
        *,
        name: str | None = None,
        layers: str | Sequence[str] | None = None,
        units: str | Sequence[int] | None = None,
        facets: int | None = None,
        candidates: int | None = None,
        technique: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        generator: str | None = None,
        visibility: str | None = None,
        idempotency_key: str | None = None,
    ) -> Atlas:
        """Have an atlas built of what `estimate` describes. visibility: `private` or `public`.

        idempotency_key: by default a fresh one, so that a POST sent again after a lost answer makes no second
        atlas.
        """
        pictures = {"facets": facets, "candidates": candidates, "generator": generator}
        asked = _asked(network, layers, units, _recipe(technique, parameters), pictures)
        named = {"name": name, "visibility": visibility}
        answer = self._transport.post(
            path_to("atlases"),
            {**asked, **_given(named)},
            idempotency_key=idempotency_key or str(uuid.uuid4()),
        )
        return Atlas(answer.body, self._transport)

    def estimate(
        self,
        network: str,
        *,
        layers: str | Sequence[str] | None = None,
        units: str | Sequence[int] | None = None,
        facets: int | None = None,
        candidates: int | None = None,
        technique: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        generator: str | None = None,
    ) -> AtlasEstimate:
        """What an atlas would take; makes nothing.

        layers: `blocks`, `convolutions`, `all`, names, patterns, or a list; units: of each layer; facets:
        pictures of each unit; candidates: of each of these make so many, of which the best is shown.
        """
        pictures = {"facets": facets, "candidates": candidates, "generator": generator}
        asked = _asked(network, layers, units, _recipe(technique, parameters), pictures)
        return AtlasEstimate.read(self._transport.post(f"{path_to('atlases')}:estimate", asked).body)

    def get(self, id: str) -> Atlas:
        """An atlas by its id."""
        return Atlas(self._transport.get(path_to("atlases", id)), self._transport)

    def remove(self, id: str) -> None:
        """Remove an atlas with all its versions, or end an import that goes on. Pictures stay."""
        self._transport.delete(path_to("atlases", id))

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


def _asked(
    network: str,
    layers: str | Sequence[str] | None,
    units: str | Sequence[int] | None,
    recipe: Json,
    pictures: Json,
) -> Json:
    asked = {"layers": listed(layers), "units": listed(units), "recipe": recipe or None}
    return {"network": network, **_given({**asked, **pictures})}


def _recipe(technique: str | None, parameters: Mapping[str, Any] | None) -> Json:
    return _given({"technique": technique, "parameters": dict(parameters) if parameters else None})


def _given(fields: Json) -> Json:
    """Those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
