"""Looking into networks that were registered, so that jobs can name their layers and units."""

import dataclasses
from collections.abc import Sequence

import structlog

from services import catalog
from services.catalog import LayerRecord
from services.database import Database
from services.errors import Unavailable
from worker.runtime import Runtime, reference_of
from worker.synthesis.inspection import LayerInfo, inspect
from worker.synthesis.networks import Network, NetworkError, load_network
from worker.weight_files import WeightFileError

log = structlog.get_logger()


class Inspector:
    """Takes one pending network at a time and records what it found, or why it could not."""

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime

    def inspect_one(self) -> bool:
        """Inspect a pending network; False if there was none. Raises `Unavailable` when the database is
        away."""
        with self._database.session() as session:
            row = catalog.next_pending_network(session)
            if row is None:
                return False
            reference = reference_of(row)
        try:
            # On the CPU: one forward pass, and the device may be full of what is being computed.
            network = load_network(self._runtime.locate_weights(reference))
            layers = inspect(network)
            self._record(network, layers)
        except Unavailable:
            raise
        except (NetworkError, WeightFileError) as error:
            self._fail(reference.id, str(error))
            return True
        except (Exception, SystemExit) as error:
            # Architectures and downloads are third-party code; whatever they raise, and whatever they hold
            # that cannot be stored, the registrant wants to know.
            log.exception("inspection_failed", network=reference.id)
            self._fail(reference.id, f"The inspection failed: {type(error).__name__}: {error}"[:500])
            return True
        log.info("network_inspected", network=reference.id, layers=len(layers))
        return True

    def _record(self, network: Network, layers: Sequence[LayerInfo]) -> None:
        with self._database.session() as session:
            catalog.record_inspection(
                session,
                network.id,
                weights_sha256=network.weights_sha256,
                preprocessing=dataclasses.asdict(network.preprocessing),
                labels=network.labels,
                layers=[LayerRecord(**dataclasses.asdict(layer)) for layer in layers],
            )

    def _fail(self, network_id: str, message: str) -> None:
        with self._database.session() as session:
            catalog.record_inspection_failure(session, network_id, message)
        log.warning("network_refused", network=network_id, error=message)
