"""Looking into networks that were registered, so that jobs can name their layers and units."""

import dataclasses

import structlog

from services import catalog
from services.catalog import LayerRecord
from services.database import Database
from services.errors import ImagoError, Unavailable
from worker.runtime import Runtime, reference_of
from worker.synthesis.input_sizes import input_sizes
from worker.synthesis.inspection import inspect
from worker.synthesis.networks import NetworkError, NetworkReference, load_network
from worker.weight_files import WeightFileError

INSPECTION_VERSION = 1
"""Raised when inspections find out more than before: networks of an earlier one are then inspected again."""
log = structlog.get_logger()


class Inspector:
    """Takes one waiting network at a time and records what it found, or why it could not."""

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime

    def inspect_one(self) -> bool:
        """Inspect a network that waits for it; False if there was none. Raises `Unavailable` when the
        database is away.

        Whatever else goes wrong, also in writing down what was found, is the network's failure: none waits
        for ever.
        """
        with self._database.session() as session:
            row = catalog.next_pending_network(session, version=INSPECTION_VERSION)
            if row is None:
                return False
            reference = reference_of(row)
        try:
            layers = self._inspect(reference)
        except Unavailable:
            raise
        except (NetworkError, WeightFileError, ImagoError) as error:
            self._fail(reference.id, str(error))
            return True
        except (Exception, SystemExit) as error:
            # Architectures and downloads are third-party code; whatever they raise, and whatever they hold
            # that cannot be stored, the registrant wants to know.
            log.exception("inspection_failed", network=reference.id)
            self._fail(reference.id, f"The inspection failed: {type(error).__name__}: {error}"[:500])
            return True
        log.info("network_inspected", network=reference.id, layers=layers)
        return True

    def _inspect(self, reference: NetworkReference) -> int:
        """Look into the network and record what was found; how many layers it has."""
        # On the CPU: a few forward passes, and the device may be full of what is being computed.
        network = load_network(self._runtime.locate_weights(reference))
        layers = inspect(network)
        sizes = input_sizes(network)
        with self._database.session() as session:
            catalog.record_inspection(
                session,
                reference.id,
                weights_sha256=network.weights_sha256,
                preprocessing=dataclasses.asdict(network.preprocessing),
                labels=network.labels,
                layers=[LayerRecord(**dataclasses.asdict(layer)) for layer in layers],
                input_sizes={"step": sizes.step, "least": sizes.least, "most": sizes.most},
                version=INSPECTION_VERSION,
            )
        return len(layers)

    def _fail(self, network_id: str, message: str) -> None:
        with self._database.session() as session:
            catalog.record_inspection_failure(session, network_id, message)
        log.warning("network_refused", network=network_id, error=message)
