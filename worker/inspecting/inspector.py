"""Looking into networks that were registered, so that jobs can name their layers and units."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import structlog

from imago_engine.networks import LayerInfo, NetworkReference
from imago_engine.synthesis.inspection.input_sizes import InputSizes, input_sizes
from imago_engine.synthesis.inspection.layers import INSPECTION_VERSION, inspect
from imago_engine.synthesis.networks.load import Network, NetworkError, load_network
from services.base.database import Database
from services.base.errors import ImagoError, Unavailable
from services.catalog import catalog
from worker.inspecting.inspection_thread import Inspection
from worker.loading.runtime import Runtime, WeightFileError, reference_of
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

NOTICE_SECONDS = 0.25
RENEW_SECONDS = 60.0
Found = tuple[Network, Sequence[LayerInfo], InputSizes]
log = structlog.get_logger()


class Inspector:
    """Takes one waiting network at a time and records what it found, or why it could not. `abandon` may be
    called from any thread."""

    def __init__(self, database: Database, runtime: Runtime, stop: StopFlag | None = None) -> None:
        self._database = database
        self._runtime = runtime
        self._stop = stop or StopFlag()
        self._current: str | None = None

    def inspect_one(
        self, *, serve: Callable[[], object] = lambda: None, tend: Callable[[], object] = lambda: None
    ) -> bool:
        """Inspect a network that waits for it; False if there was none.

        `serve` is called again and again, and may do work that goes before, during which the inspection
        rests; so is `tend`, for what must be done meanwhile. Asked to stop, it gives the network back. Raises
        `Unavailable` when the database is away. Whatever else goes wrong, also in writing down what was
        found, is the network's failure: none waits for ever.
        """
        with self._database.session() as session:
            row = catalog.next_pending_network(session, version=INSPECTION_VERSION)
            if row is None:
                return False
            reference = reference_of(row)
        self._current = reference.id
        try:
            inspection = Inspection(lambda: self._look(reference))
            self._see_through(reference.id, inspection, serve, tend)
        finally:
            self._current = None
        return True

    def abandon(self) -> None:
        """Give back what is in hand: for a process that ends."""
        network_id = self._current
        if network_id is None:
            return
        try:
            with self._database.session() as session:
                catalog.release_inspection(session, network_id)
        except Unavailable as error:
            log.warning("release_failed", network=network_id, reason=str(error))

    def _look(self, reference: NetworkReference) -> Found:
        crash_point("inspecting")
        # On the CPU: a few forward passes, and the device may be full of what is being computed.
        network = load_network(self._runtime.locate_weights(reference))
        return network, inspect(network), input_sizes(network)

    def _see_through(
        self,
        network_id: str,
        inspection: Inspection[Found],
        serve: Callable[[], object],
        tend: Callable[[], object],
    ) -> None:
        renewed = time.monotonic()
        while not inspection.wait(NOTICE_SECONDS):
            if self._stop.asked:
                self.abandon()
                return
            if inspection.hangs:
                self._fail(network_id, "The inspection stood still; the download, most likely.")
                return
            try:
                with inspection.held_up():
                    serve()
                tend()
                if time.monotonic() - renewed > RENEW_SECONDS:
                    renewed = time.monotonic()
                    with self._database.session() as session:
                        catalog.keep_inspection(session, network_id)
            except Unavailable as error:
                log.warning("server_away", what="inspection", reason=str(error))
        try:
            self._record(*inspection.result())
        except Unavailable:
            raise
        except NetworkError as error:
            self._fail(network_id, error.reason)
        except (WeightFileError, ImagoError) as error:
            self._fail(network_id, str(error))
        except BaseException as error:
            # Architectures and downloads are third-party code; whatever they raise, and whatever they hold
            # that cannot be stored, the registrant wants to know.
            log.exception("inspection_failed", network=network_id)
            self._fail(network_id, f"The inspection failed: {type(error).__name__}: {error}"[:500])

    def _record(self, network: Network, layers: Sequence[LayerInfo], sizes: InputSizes) -> None:
        with self._database.session() as session:
            catalog.record_inspection(
                session,
                network.id,
                weights_sha256=network.weights_sha256,
                preprocessing=dataclasses.asdict(network.preprocessing),
                labels=network.labels,
                layers=layers,
                input_sizes={"step": sizes.step, "least": sizes.least, "most": sizes.most},
                version=INSPECTION_VERSION,
            )
        log.info("network_inspected", network=network.id, layers=len(layers))

    def _fail(self, network_id: str, message: str) -> None:
        with self._database.session() as session:
            catalog.record_inspection_failure(session, network_id, message)
        log.warning("network_refused", network=network_id, error=message)
