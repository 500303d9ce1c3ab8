"""One batch after the other: claim, ascent, and delivery while the next batch is computed."""

import contextvars
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NoReturn, TypeVar

import structlog

from services import leases
from services.database import Database
from services.errors import Unavailable
from services.leases import Claim, Failure, Pulse, Work
from services.settings import Settings
from worker.batch_size import BatchSizer
from worker.computation import Computed, DeviceLost, compute, failure_of
from worker.crash_points import crash_point
from worker.delivery import Delivery
from worker.devices import is_device_lost, is_out_of_memory
from worker.heartbeat import EverythingCanceled, LeaseKeeper, LeaseLost, Stopping
from worker.persistence import persist
from worker.runtime import Runtime, Unloadable
from worker.stopping import StopFlag
from worker.synthesis.ascent import Item, Picture, synthesize
from worker.synthesis.techniques import parameters as technique_parameters

DEVICE_LOST_EXIT_CODE = 71
T = TypeVar("T")
log = structlog.get_logger()


class BatchRunner:
    """Runs batches in the calling thread, always the same one; deliveries have a thread of their own.

    At most two leases are held: one that is computed and one that is delivered.
    """

    def __init__(
        self,
        *,
        database: Database,
        runtime: Runtime,
        sizer: BatchSizer,
        delivery: Delivery,
        settings: Settings,
        worker_id: str,
        stop: StopFlag,
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._sizer = sizer
        self._delivery = delivery
        self._settings = settings
        self._worker_id = worker_id
        self._stop = stop
        self._turn = 0
        self._group_sizes: dict[str, int] = {}  # by batch key, where the device's own took too much memory
        self._held: set[int] = set()
        self._delivering: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="delivery")

    def run_batch(self) -> bool:
        """Claim and compute one batch; its delivery may go on after the return. False if there was nothing
        to claim.

        Raises `Unavailable` when the database is away.
        """
        confirmed_at = time.monotonic()
        claim = self._claim()
        if claim is None:
            return False
        crash_point("after_claim")
        with structlog.contextvars.bound_contextvars(lease=claim.lease_id):
            keeper = self._keeper(claim, confirmed_at)
            self._held.add(claim.lease_id)
            keeper.start()
            computed = None
            try:
                computed = self._compute(claim, keeper)
            finally:
                if computed is None:
                    keeper.stop()
                    self._held.discard(claim.lease_id)
            if computed is not None:
                self._hand_over(claim, computed, keeper)
        return True

    def settle(self) -> None:
        """Wait until the last batch is delivered."""
        if self._delivering is not None:
            self._delivering.result()
            self._delivering = None

    def give_back_owed(self) -> None:
        """Release what the database did not hear of. Raises `Unavailable` if it still does not answer."""
        self._delivery.give_back_owed()

    def abandon(self) -> None:
        """Give every lease back at once, from any thread: for a process that ends while a step is still
        running."""
        for lease_id in sorted(self._held):
            self._delivery.give_back(lease_id)

    def _claim(self) -> Claim | None:
        turn, self._turn = self._turn, self._turn + 1
        with self._database.session() as session:
            return leases.claim(
                session,
                self._worker_id,
                limit=self._sizer.guess(),
                lease_seconds=self._settings.lease_seconds,
                lanes=leases.lanes_of_turn(turn),
            )

    def _keeper(self, claim: Claim, confirmed_at: float) -> LeaseKeeper:
        def pulse(steps: int) -> Pulse:
            with self._database.session() as session:
                return leases.heartbeat(
                    session, claim.lease_id, steps=steps, lease_seconds=self._settings.lease_seconds
                )

        return LeaseKeeper(
            pulse,
            lease_seconds=self._settings.lease_seconds,
            heartbeat_seconds=self._settings.heartbeat_seconds,
            confirmed_at=confirmed_at,
            stop=self._stop,
        )

    def _compute(self, claim: Claim, keeper: LeaseKeeper) -> Computed | None:
        """The batch's results, or None when there is nothing to deliver. The lease is then given back or
        gone."""
        try:
            return self._ascend(claim, keeper)
        except Unloadable as error:
            failures = [Failure(work.digest, error.code, str(error), retryable=False) for work in claim.items]
            return Computed(failures=failures)
        except (LeaseLost, EverythingCanceled, Stopping) as reason:
            # Also of a lease that seems lost: out of reach of the database it may not have ended yet.
            log.info("batch_given_back", reason=type(reason).__name__)
            self._delivery.give_back(claim.lease_id)
        except Unavailable as error:
            log.warning("batch_given_back", reason=str(error))
            self._delivery.give_back(claim.lease_id)
        except DeviceLost as error:
            self._end_without_device(error)
        except BaseException as error:
            # Networks and what loads them are third-party code, which may raise anything, SystemExit too.
            # What would leave here would leave a lease to lapse, and its items without an end.
            log.exception("batch_failed")
            return Computed(failures=self._failures(claim, error.with_traceback(None)))
        return None

    def _failures(self, claim: Claim, error: BaseException) -> list[Failure]:
        """What to tell of a batch that failed before any of its items could be tried alone."""
        if is_device_lost(error):
            self._end_without_device(error)
        if is_out_of_memory(error):
            self._runtime.let_go()
        return [failure_of(work, error) for work in claim.items]

    def _end_without_device(self, error: BaseException) -> NoReturn:
        """Its lease is not given back: if one of the items did this, the crash count finds it out."""
        log.critical("device_lost", error=str(error))
        sys.stderr.flush()
        os._exit(DEVICE_LOST_EXIT_CODE)

    def _ascend(self, claim: Claim, keeper: LeaseKeeper) -> Computed:
        parameters = technique_parameters(claim.recipe.technique, claim.recipe.parameters)
        items = self._keep_what_fits(claim, parameters.steps)
        network = self._persist(lambda: self._runtime.network(claim.network_id, claim.network_sha256), keeper)
        generator = self._persist(lambda: self._runtime.generator(claim.generator_id), keeper)

        def on_step(step: int) -> None:
            if step == parameters.steps // 2:
                crash_point("mid_batch")
            keeper.step()

        def ascend(batch: Sequence[Work], group_size: int) -> list[Picture]:
            with keeper.computing(work.digest for work in batch):
                return synthesize(
                    network,
                    generator,
                    claim.layer,
                    [Item(work.unit, work.seed, work.position) for work in batch],
                    parameters,
                    on_step=on_step,
                    device=self._runtime.device.name,
                    group_size=group_size,
                )

        def on_batch(size: int, seconds: float) -> None:
            self._sizer.learn(claim.batch_key, items=size, steps=parameters.steps, seconds=seconds)
            log.info(
                "batch_computed",
                items=size,
                seconds=round(seconds, 3),
                network=claim.network_id,
                layer=claim.layer,
            )

        def on_out_of_memory(group_size: int) -> None:
            self._group_sizes[claim.batch_key] = max(group_size, 1)
            self._runtime.let_go()

        computed = compute(
            items,
            ascend,
            group_size=self._group_sizes.get(claim.batch_key, self._runtime.device.group_size),
            canceled=lambda: keeper.canceled,
            on_batch=on_batch,
            on_out_of_memory=on_out_of_memory,
        )
        if not computed.made and not computed.failures:
            raise EverythingCanceled
        return computed

    def _keep_what_fits(self, claim: Claim, steps: int) -> Sequence[Work]:
        """Give back what would make the batch too long: its kind was not known when it was claimed."""
        size = self._sizer.size(claim.batch_key, steps)
        if len(claim.items) > size:
            with self._database.session() as session:
                leases.release(session, claim.lease_id, [work.digest for work in claim.items[size:]])
        return claim.items[:size]

    def _hand_over(self, claim: Claim, computed: Computed, keeper: LeaseKeeper) -> None:
        """Deliver in the background. Waits for the delivery before: results must not pile up in memory."""
        self.settle()

        def deliver() -> None:
            try:
                self._delivery.deliver(claim, computed, keeper)
            finally:
                self._held.discard(claim.lease_id)

        self._delivering = self._thread.submit(contextvars.copy_context().run, deliver)

    def _persist(self, action: Callable[[], T], keeper: LeaseKeeper) -> T:
        return persist(action, what="load", may_go_on=lambda: not keeper.fenced, wait=self._stop.wait)
