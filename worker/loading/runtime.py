"""What is kept on the device: networks and generators, least recently used goes first."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import structlog
from cachetools import LRUCache

from imago_engine.generators import GeneratorFileError
from imago_engine.networks import NetworkReference, SourceName, Stated
from imago_engine.synthesis.generators.architectures import Generator
from imago_engine.synthesis.generators.files import load_generator
from imago_engine.synthesis.networks.load import Network, NetworkError, load_network
from imago_engine.synthesis.sources.network_source import OutOfReach
from services.base.database import Database
from services.base.errors import NotFound
from services.base.settings import Settings
from services.base.storage import Corrupt, ObjectStore, generator_key
from services.catalog import networks
from services.catalog.generators import get_generator
from services.catalog.looks import Pair
from services.pictures import losses
from services.pictures.losses import Reason, Subject
from worker.loading.generator_cache import GeneratorCache, GeneratorFileAbsent
from worker.loading.stored_looks import StoredLooks
from worker.process.devices import Device

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
NETWORKS_KEPT, GENERATORS_KEPT = 4, 2
log = structlog.get_logger()


class WeightFileError(ValueError):
    """A file of weights cannot be used; the message says where it was looked for."""


class WeightFileAbsent(WeightFileError):
    """It is not on this machine."""


class Unloadable(Exception):
    """A network or generator cannot be loaded here: every item of the batch fails with this code and
    message."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class NotHere(Unloadable):
    """Not to be had on this worker at present; another one may have it. `key` is what `Lacking` knows it by;
    `passing`: a later try may go better here too."""

    def __init__(
        self, kind: Literal["network", "generator", "batch"], id: str, message: str, *, passing: bool
    ) -> None:
        super().__init__(f"{kind}_unloadable", message)
        self.key, self.passing = f"{kind}:{id}", passing


def reference_of(row: networks.Network) -> NetworkReference:
    """What the engine needs to know to load a network of the catalog."""
    source = cast(SourceName, row.source)  # a CHECK of the table allows no other
    return NetworkReference(row.id, source, row.architecture, row.weights, row.classes, _stated(row.stated))


def _stated(given: Mapping[str, Any]) -> Stated:
    """The row's JSON has lists."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return Stated(**fields)


def locate(name: str, folder: Path | None) -> Path:
    """The file `name` inside `folder`, symbolic links resolved; a name from a row must not lead anywhere
    else. Raises `WeightFileError`."""
    if folder is None:
        raise WeightFileAbsent(
            f"{name!r} is a file, but this worker has no weights folder: IMAGO_WEIGHTS_FOLDER names it "
            "(`make up` makes .imago/weights)."
        )
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise WeightFileError(f"{name!r} lies outside the weights folder.")
    if path.suffix != ".safetensors":
        raise WeightFileError(f"{name!r} must be a .safetensors file.")
    if not path.is_file():
        log.warning("weights_absent", path=str(path))  # anyone may read the message
        raise WeightFileAbsent(
            f"There is no file {name!r} in the weights folder of this worker (IMAGO_WEIGHTS_FOLDER). Put it "
            "there and register the network again."
        )
    return path


def kept(cache: LRUCache[K, V], key: K, make: Callable[[], V]) -> V:
    """The value of `key`, made if it is not there. Room is made before `make()` is called, so that the
    device's memory never holds one too many."""
    if key not in cache:
        while len(cache) >= cache.maxsize:
            cache.popitem()
        cache[key] = make()
    return cache[key]


class Runtime:
    """Networks and generators by their ids in the catalog, loaded on first use. Owned by the computing
    thread."""

    def __init__(self, database: Database, store: ObjectStore, settings: Settings, device: Device) -> None:
        self.device = device
        self._database, self._store = database, store
        self._files = GeneratorCache(store, settings.cache_folder / "generators")
        self._settings = settings
        self._networks: LRUCache[tuple[str, str], Network] = LRUCache(NETWORKS_KEPT)
        self._generators: LRUCache[str, Generator] = LRUCache(GENERATORS_KEPT)

    def network(self, network_id: str, spec_sha256: str) -> Network:
        """The network, on the device, as specs name it by `spec_sha256`. Raises `Unloadable`, or
        `Unavailable` when the database is away."""
        reference, sha256, current = self._network_row(network_id)
        if current != spec_sha256:
            # Asked for before the network was inspected again: these digests name other facts than it has.
            raise Unloadable(
                "network_changed",
                "A later inspection of the network found another output or another input than it had when "
                "this was asked for. Ask for it again.",
            )

        def load() -> Network:
            try:
                network = load_network(
                    self.locate_weights(reference), device=self.device.name, dtype=self.device.dtype
                )
            except (NetworkError, WeightFileError, OSError) as error:
                # Shown beside the item, which names the network.
                reason = error.reason if isinstance(error, NetworkError) else error
                message = f"The network cannot be loaded: {reason}"
                if isinstance(error, (OutOfReach, WeightFileAbsent, OSError)):
                    passing = not isinstance(error, WeightFileAbsent)
                    raise NotHere("network", network_id, message, passing=passing) from error
                raise Unloadable("network_unloadable", message) from error
            if network.weights_sha256 != sha256:
                # The digests of all its pictures name other weights than these.
                raise Unloadable(
                    "network_changed",
                    f"The network's weights have the sha256 {network.weights_sha256}, "
                    f"but {sha256} when it was inspected. Register the new weights under another id.",
                )
            return network

        return kept(self._networks, (network_id, current), load)

    def generator(self, generator_id: str) -> Generator:
        """The generator, on the device. Raises `Unloadable`, or `Unavailable` when the database or the store
        is away."""
        sha256 = self._generator_sha256(generator_id)

        def load() -> Generator:
            try:
                path = self._files.locate(sha256)
                return load_generator(path, device=self.device.name, dtype=self.device.dtype)
            except (GeneratorFileAbsent, GeneratorFileError, OSError) as error:
                if isinstance(error, GeneratorFileAbsent):
                    self._note_lost(generator_id, sha256, error)
                message = f"The generator {generator_id} cannot be loaded: {error}"
                if isinstance(error, (GeneratorFileAbsent, OSError)):
                    passing = isinstance(error, OSError)
                    raise NotHere("generator", generator_id, message, passing=passing) from error
                raise Unloadable("generator_unloadable", message) from error

        return kept(self._generators, sha256, load)

    def looks(self, network_id: str, spec_sha256: str, generator_id: str) -> StoredLooks:
        """What is kept of a network with a generator. Raises as `generator` does."""
        pair = Pair(network_id, spec_sha256, generator_id, self._generator_sha256(generator_id))
        return StoredLooks(self._database, self._store, pair)

    def locate_weights(self, reference: NetworkReference) -> NetworkReference:
        """The same reference with the path of its file, if it has one. Raises `WeightFileError`."""
        if reference.source != "file":
            return reference
        path = locate(reference.weights or "", self._settings.weights_folder)
        return dataclasses.replace(reference, weights=str(path))

    def free_device(self) -> None:
        """Drop from the device what is not in use: after running out of memory, the next batch loads what it
        needs."""
        self._networks.clear()
        self._generators.clear()
        self.device.free_cached_memory()

    def _network_row(self, network_id: str) -> tuple[NetworkReference, str, str]:
        """What to load, the hash of its weights, and what specs name it by."""
        try:
            with self._database.session() as session:
                row = networks.get_network(session, network_id)
                return reference_of(row), row.weights_sha256 or "", row.spec_sha256 or ""
        except NotFound as error:
            raise Unloadable("network_unknown", str(error)) from error

    def _note_lost(self, generator_id: str, sha256: str, error: GeneratorFileAbsent) -> None:
        """A worker that still has the file puts it again."""
        reason: Reason = "damaged" if isinstance(error.__cause__, Corrupt) else "missing"
        with self._database.session() as session:
            subject = Subject("generator", generator_id)
            losses.note(session, subject, generator_key(sha256), reason, "worker")

    def _generator_sha256(self, generator_id: str) -> str:
        try:
            with self._database.session() as session:
                return get_generator(session, generator_id).weights_sha256
        except NotFound as error:
            raise Unloadable("generator_unknown", str(error)) from error
