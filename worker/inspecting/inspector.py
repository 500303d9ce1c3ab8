"""Looking into networks that were registered, so that jobs can name their layers and units."""

import dataclasses
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.orm import Session

from imago_engine.networks import InputSizes, LayerInfo, NetworkReference
from imago_engine.synthesis.computing.exhaustion import is_exhaustion
from imago_engine.synthesis.inspection.input_sizes import input_sizes
from imago_engine.synthesis.inspection.layers import INSPECTION_VERSION, inspect, squash_of
from imago_engine.synthesis.networks.load import Network, NetworkError, load_network
from imago_engine.synthesis.sources.network_source import OutOfReach
from services.base.errors import ImagoError, Unavailable
from services.catalog import looks
from services.catalog.inspection_leases import INSPECTIONS, InspectionClaim, claim_inspection, count_try
from services.catalog.inspections import record_inspection, record_inspection_failure
from worker.inspecting.inspection_thread import Inspection
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import LeaseKeeper
from worker.leasing.retries import keep_trying
from worker.leasing.work_kinds import LeasedWork, Tend, nothing
from worker.loading.runtime import Runtime, WeightFileAbsent, WeightFileError, reference_of
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

NOTICE_SECONDS = 0.25
Found = tuple[Network, Sequence[LayerInfo], InputSizes]
log = structlog.get_logger()


class Inspector(LeasedWork[InspectionClaim]):
    """Takes one waiting network at a time and records what it found, or why it could not.

    Whatever goes wrong, also in writing down what was found, is the network's failure: none waits for ever.
    But one that is ready, and only due for another inspection, stays so where this worker cannot have it at
    present; and memory that runs out here leaves any to other workers, or to a later try. Asked to stop, it
    gives the network back.
    """

    kind = INSPECTIONS

    def __init__(
        self, held: HeldLeases, runtime: Runtime, stop: StopFlag, *, on_pause: Callable[[], object] = nothing
    ) -> None:
        """`on_pause` is called again and again, and may do work that goes before: the inspection rests
        then. One that was in hand when a worker died does not, so that it can be told which of the two it
        was."""
        super().__init__(held)
        self._lacking = held.lacking
        self._runtime = runtime
        self._stop = stop
        self._on_pause = on_pause

    def claim(self, session: Session) -> InspectionClaim | None:
        return claim_inspection(
            session,
            self._held.worker_id,
            lease_seconds=self._held.seconds,
            version=INSPECTION_VERSION,
            lacks=self._lacking.left,
        )

    def run(self, claim: InspectionClaim, keeper: LeaseKeeper, tend: Tend) -> None:
        reference = reference_of(claim.network)
        self._see_through(claim, keeper, Inspection(lambda: self._look_into(reference)), tend)

    def _look_into(self, reference: NetworkReference) -> Found:
        crash_point("inspecting")
        # On the CPU: a few forward passes, and the device may be full of what is being computed.
        network = load_network(self._runtime.locate_weights(reference))
        return network, inspect(network), input_sizes(network)

    def _see_through(
        self, claim: InspectionClaim, keeper: LeaseKeeper, inspection: Inspection[Found], tend: Tend
    ) -> None:
        while not inspection.wait(NOTICE_SECONDS):
            if self._stop.asked:
                self.abandon()
                return
            if inspection.hangs:
                self._fail(claim, "The inspection stood still; the download, most likely.")
                return
            try:
                if not claim.alone:
                    with inspection.held_up():
                        self._on_pause()
                tend()
            except Unavailable as error:
                log.warning("server_away", what="inspection", reason=str(error))
        try:
            found = inspection.result()
            keep_trying(
                lambda: self._record(claim, *found),
                what="inspection",
                may_go_on=lambda: keeper.may_finish,
                wait=self._stop.wait,
            )
        except Unavailable:
            raise
        except NetworkError as error:
            self._fail(claim, error.reason, absent=isinstance(error, OutOfReach))
        except (WeightFileError, ImagoError) as error:
            self._fail(claim, str(error), absent=isinstance(error, WeightFileAbsent))
        except BaseException as error:
            # Architectures and downloads are third-party code; whatever they raise, and whatever they hold
            # that cannot be stored, the registrant wants to know.
            if is_exhaustion(error):
                self._put_off(
                    claim, f"The inspection ran out of memory: {type(error).__name__}: {error}"[:500]
                )
                return
            log.exception("inspection_failed", network=claim.network.id)
            reason = f"The inspection failed: {type(error).__name__}: {error}"[:500]
            self._fail(claim, reason, absent=isinstance(error, OSError))

    def _record(
        self, claim: InspectionClaim, network: Network, layers: Sequence[LayerInfo], sizes: InputSizes
    ) -> None:
        with self._database.session() as session:
            recorded = record_inspection(
                session,
                network.id,
                weights_sha256=network.weights_sha256,
                preprocessing=dataclasses.asdict(network.preprocessing),
                labels=network.labels,
                layers=layers,
                input_sizes={"step": sizes.step, "least": sizes.least, "most": sizes.most},
                squash=squash_of(network),
                version=INSPECTION_VERSION,
                lease_id=claim.lease_id,
            )
            if recorded:
                looks.plan(session, network.id)
        self._lacking.found(f"inspection:{network.id}")
        event = "network_inspected" if recorded else "inspection_late"
        log.info(event, network=network.id, layers=len(layers))

    def _fail(self, claim: InspectionClaim, message: str, *, absent: bool = False) -> None:
        """`absent`: it is not to be had on this worker at present, which is no fault of a network that is in
        use: that one stays as it is, and is left alone for a while."""
        id = claim.network.id
        if absent and claim.network.state == "ready":
            self._put_off(claim, message)
            return
        with self._database.session() as session:
            record_inspection_failure(session, id, message, lease_id=claim.lease_id)
        log.warning("network_refused", network=id, error=message)

    def _put_off(self, claim: InspectionClaim, message: str) -> None:
        """Leave the network alone for a while; others may inspect it. One that is not in use yet fails where
        that was tried often enough, so that it does not wait for ever."""
        id = claim.network.id
        self._lacking.note(f"inspection:{id}", f"{id} cannot be inspected here: {message}", leave=True)
        if claim.network.state == "ready":
            self._held.give_back(INSPECTIONS, claim.lease_id)
        else:
            with self._database.session() as session:
                count_try(session, claim.lease_id, message)
        log.warning("inspection_put_off", network=id, reason=message)
