"""Looking into networks that were registered, so that jobs can name their layers and units."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import structlog

from imago_engine.networks import LayerInfo, NetworkReference
from imago_engine.synthesis.inspection.input_sizes import InputSizes, input_sizes
from imago_engine.synthesis.inspection.layers import INSPECTION_VERSION, inspect
from imago_engine.synthesis.networks.load import Network, NetworkError, load_network
from services.base.errors import ImagoError, Unavailable
from services.catalog import catalog
from services.catalog.catalog import InspectionClaim
from services.catalog.inspection_leases import INSPECTIONS
from worker.inspecting.inspection_thread import Inspection
from worker.leasing.held_leases import HeldLeases
from worker.loading.runtime import Runtime, WeightFileError, reference_of
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

NOTICE_SECONDS = 0.25
Found = tuple[Network, Sequence[LayerInfo], InputSizes]
log = structlog.get_logger()


class Inspector:
    """Takes one waiting network at a time and records what it found, or why it could not. `abandon` may be
    called from any thread."""

    def __init__(self, runtime: Runtime, held: HeldLeases, stop: StopFlag | None = None) -> None:
        self._database = held.database
        self._held = held
        self._runtime = runtime
        self._stop = stop or StopFlag()
        self._current: InspectionClaim | None = None

    def inspect_one(
        self, *, serve: Callable[[], object] = lambda: None, tend: Callable[[], object] = lambda: None
    ) -> bool:
        """Inspect a network that waits for it; False if there was none.

        `serve` is called again and again, and may do work that goes before, during which the inspection
        rests; so is `tend`, for what must be done meanwhile. Asked to stop, it gives the network back. Raises
        `Unavailable` when the database is away. Whatever else goes wrong, also in writing down what was
        found, is the network's failure: none waits for ever.
        """
        claimed_at = time.monotonic()
        with self._database.session() as session:
            claim = catalog.claim_inspection(
                session, self._held.worker_id, lease_seconds=self._held.seconds, version=INSPECTION_VERSION
            )
        if claim is None:
            return False
        reference = reference_of(claim.network)
        keeper = self._held.keeper(INSPECTIONS, claim.lease_id, claimed_at)
        self._current = claim
        keeper.start()
        try:
            inspection = Inspection(lambda: self._look(reference))
            self._see_through(claim, inspection, serve, tend)
        finally:
            keeper.stop()
            self._current = None
        return True

    def abandon(self) -> None:
        """Give back what is in hand: for a process that ends."""
        claim = self._current
        if claim is not None:
            self._held.give_back(INSPECTIONS, claim.lease_id)

    def _look(self, reference: NetworkReference) -> Found:
        crash_point("inspecting")
        # On the CPU: a few forward passes, and the device may be full of what is being computed.
        network = load_network(self._runtime.locate_weights(reference))
        return network, inspect(network), input_sizes(network)

    def _see_through(
        self,
        claim: InspectionClaim,
        inspection: Inspection[Found],
        serve: Callable[[], object],
        tend: Callable[[], object],
    ) -> None:
        while not inspection.wait(NOTICE_SECONDS):
            if self._stop.asked:
                self.abandon()
                return
            if inspection.hangs:
                self._fail(claim, "The inspection stood still; the download, most likely.")
                return
            try:
                with inspection.held_up():
                    serve()
                tend()
            except Unavailable as error:
                log.warning("server_away", what="inspection", reason=str(error))
        try:
            self._record(claim, *inspection.result())
        except Unavailable:
            raise
        except NetworkError as error:
            self._fail(claim, error.reason)
        except (WeightFileError, ImagoError) as error:
            self._fail(claim, str(error))
        except BaseException as error:
            # Architectures and downloads are third-party code; whatever they raise, and whatever they hold
            # that cannot be stored, the registrant wants to know.
            log.exception("inspection_failed", network=claim.network.id)
            self._fail(claim, f"The inspection failed: {type(error).__name__}: {error}"[:500])

    def _record(
        self, claim: InspectionClaim, network: Network, layers: Sequence[LayerInfo], sizes: InputSizes
    ) -> None:
        with self._database.session() as session:
            recorded = catalog.record_inspection(
                session,
                network.id,
                weights_sha256=network.weights_sha256,
                preprocessing=dataclasses.asdict(network.preprocessing),
                labels=network.labels,
                layers=layers,
                input_sizes={"step": sizes.step, "least": sizes.least, "most": sizes.most},
                version=INSPECTION_VERSION,
                lease_id=claim.lease_id,
            )
        event = "network_inspected" if recorded else "inspection_late"
        log.info(event, network=network.id, layers=len(layers))

    def _fail(self, claim: InspectionClaim, message: str) -> None:
        with self._database.session() as session:
            catalog.record_inspection_failure(session, claim.network.id, message, lease_id=claim.lease_id)
        log.warning("network_refused", network=claim.network.id, error=message)
