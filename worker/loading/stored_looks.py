"""Looks at networks, kept in the store for all workers."""

from collections.abc import Mapping
from typing import Any

import structlog
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from services.base.database import Database
from services.base.errors import NotFound, Unavailable
from services.base.storage import Corrupt, ObjectStore
from services.catalog import looks
from services.catalog.looks import Pair, UnderWay

log = structlog.get_logger()


class StoredLooks:
    """Those at one network with one generator: `imago_engine.synthesis.directions.kept_looks.KeptLooks`."""

    def __init__(self, database: Database, store: ObjectStore, pair: Pair) -> None:
        self._database, self._store, self._pair = database, store, pair
        self.lost = False
        """Whether something could not be kept."""

    def get(self, facts: Mapping[str, Any]) -> dict[str, Tensor] | None:
        """None too where the object is missing or damaged. Raises `Unavailable`."""
        name = self._pair.name(facts)
        with self._database.session() as session:
            key = looks.object_of(session, name)
        if key is None:
            return None
        try:
            with self._store.verified(key) as file:
                return load(file.read())
        except (NotFound, Corrupt, SafetensorError) as error:
            log.warning("look_lost", network=self._pair.network_id, object=key, reason=str(error))
            with self._database.session() as session:
                looks.forget(session, name)
            return None

    def note(self, facts: Mapping[str, Any], seen: int, of: int) -> None:
        """Where the database is away, people hear the next time."""
        try:
            looks.tell(self._database, self._pair, self._pair.name(facts), UnderWay(seen, of))
        except Unavailable as error:
            log.warning("server_away", what="look", reason=str(error))

    def put(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Where a server is away it is not kept: it is remembered here, and others measure again."""
        data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        try:
            looks.keep(self._database, self._store, self._pair, self._pair.name(facts), data)
        except Unavailable as error:
            self.lost = True
            log.warning("look_not_kept", network=self._pair.network_id, reason=str(error))
        else:
            log.info("look_kept", network=self._pair.network_id, bytes=len(data))
