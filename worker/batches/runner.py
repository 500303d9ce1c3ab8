"""One batch after the other: claim, ascent, and delivery while the next batch is computed."""

import contextvars
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

import structlog

from services.base.errors import Unavailable
from services.base.settings import Settings
from services.base.states import Lane
from services.queue import batches
from services.queue.batches import BATCHES, Claim
from worker.batches.claimed_batch import Computer
from worker.batches.computation import Computed
from worker.batches.deliver import Delivery
from worker.batches.giving_way import Bell, BulkShare, Stopwatch
from worker.batches.size import BatchSizer
from worker.indexing.photographs import Photographs
from worker.indexing.sight import Sight
from worker.leasing.held_leases import HeldLeases
from worker.leasing.lease_renewal import Interrupted, LeaseKeeper, NoRoom
from worker.leasing.work_kinds import Tend, WorkKind, nothing
from worker.loading.runtime import Runtime
from worker.process.crash_points import crash_point
from worker.process.stopping import StopFlag

NOTICE_SECONDS = 0.25
log = structlog.get_logger()


class BatchRunner(WorkKind):
    """Runs batches in the calling thread, always the same one; deliveries have a thread for each lane.

    While interactive work waits, a bulk batch is suspended between two steps: it stays in memory, its lease
    is kept, and an interactive batch is computed, or a photograph looked at, meanwhile. At most four leases
    of batches are held: of each lane, one that is computed and one that is delivered.
    """

    def __init__(
        self,
        leases: HeldLeases,
        *,
        runtime: Runtime,
        sizer: BatchSizer,
        delivery: Delivery,
        settings: Settings,
        stop: StopFlag,
        sight: Sight | None = None,
        photographs: Photographs | None = None,
    ) -> None:
        self._lacking = leases.lacking
        self._leases = leases
        self._database = leases.database
        self._computer = Computer(
            database=leases.database,
            runtime=runtime,
            sizer=sizer,
            store_patience=settings.store_patience_seconds,
            stop=stop,
            lacking=self._lacking,
            worker_id=leases.worker_id,
            sight=sight or Sight(runtime.device),
        )
        self._photographs = photographs
        self._delivery = delivery
        self._settings = settings
        self._stop = stop
        self._share = BulkShare()
        self._bell = Bell(self._someone_waits)
        self._crowded: set[str] = set()  # keys of batches beside which another one found no room in memory
        self._in_hand: set[int] = set()
        self._delivering: dict[Lane, Future[None]] = {}
        self._threads = {lane: ThreadPoolExecutor(1, thread_name_prefix=f"delivery-{lane}") for lane in Lane}

    def look(self, tend: Tend = nothing) -> bool:
        return self.run_batch()

    def run_batch(self) -> bool:
        """Claim and compute one batch; its delivery may go on after the return. False if there was nothing
        to claim, or no store to bring it to.

        Raises `Unavailable` when the database is away.
        """
        bulk_first = self._share.bulk_is_due
        lanes = (Lane.BULK, Lane.INTERACTIVE) if bulk_first else (Lane.INTERACTIVE, Lane.BULK)
        began = time.monotonic()
        claim = self._claim(lanes)
        if bulk_first and (claim is None or claim.lane != Lane.BULK):
            self._share.no_bulk()
        if claim is None:
            return False
        self._run(claim, began, nested=False)
        return True

    def run_interactive(self) -> None:
        """Compute one batch of the interactive lane if it waits, in the midst of other work. Never raises."""
        if self._bell.someone_waits():
            self._run_nested()

    def ring(self) -> None:
        """Note that there may be something to claim; from any thread."""
        self._bell.ring()

    def settle(self) -> None:
        """Wait until what was computed is delivered."""
        for delivering in self._delivering.values():
            delivering.result()
        self._delivering.clear()

    @property
    def settled(self) -> bool:
        """Whether what was computed is delivered."""
        return all(delivering.done() for delivering in self._delivering.values())

    def abandon(self) -> None:
        """Give every lease back at once, from any thread: for a process that ends while a step is still
        running."""
        for lease_id in tuple(self._in_hand):
            self._leases.give_back(BATCHES, lease_id)

    def _claim(self, lanes: Sequence[Lane]) -> Claim | None:
        if not self._delivery.store_watch.answers():
            return None
        with self._database.session() as session:
            return batches.claim(
                session,
                self._leases.worker_id,
                limit=self._settings.max_batch,
                size=self._computer.size,
                lease_seconds=self._leases.seconds,
                lanes=lanes,
                lacks=self._lacking.left,
            )

    def _run(self, claim: Claim, confirmed_at: float, *, nested: bool) -> bool:
        """Compute a batch and hand it over; False if memory has no room for it beside what is suspended."""
        with structlog.contextvars.bound_contextvars(lease=claim.lease_id):
            batch = _Batch(claim, self._leases.keeper(BATCHES, claim.lease_id, confirmed_at), nested=nested)
            self._in_hand.add(claim.lease_id)
            batch.keeper.start()
            computed = None
            try:
                crash_point("after_claim")
                computed = self._computer.compute(
                    claim,
                    batch.keeper,
                    batch.watch,
                    pause=lambda: self._pause(batch),
                    shares_memory=lambda: batch.shares_memory,
                )
            except (Interrupted, Unavailable) as reason:
                # Also of a lease that seems lost: out of reach of the database it may not have ended yet.
                log.info("batch_given_back", reason=str(reason) or type(reason).__name__)
                self._leases.give_back(BATCHES, claim.lease_id)
                if isinstance(reason, Unavailable):
                    self._delivery.store_watch.failed(reason)
                elif isinstance(reason, NoRoom):
                    if nested:
                        return False
                    self._crowded.add(claim.batch_key)
            finally:
                if computed is None:
                    batch.keeper.stop()
                    self._in_hand.discard(claim.lease_id)
                if claim.lane == Lane.INTERACTIVE:
                    self._share.interactive(batch.watch.lap())
            if computed is not None:
                self._hand_over(batch, computed)
        return True

    def _pause(self, batch: "_Batch") -> None:
        """Between two steps of a batch. Raises `Interrupted`."""
        if self._make_way(batch):
            batch.keeper.check()

    def _make_way(self, batch: "_Batch") -> bool:
        """Let an interactive batch go before a bulk one, if one waits and bulk has had its share; whether
        that was so. Raises `NoRoom` where the two do not fit into memory together: one by one they may."""
        if batch.nested or batch.claim.lane != Lane.BULK:
            return False
        self._share.bulk(batch.watch.lap())
        crowded = batch.claim.batch_key in self._crowded
        if self._share.bulk_is_due or self._stop.asked or crowded or not self._bell.someone_waits():
            return False
        with batch.keeper.suspended(), batch.watch.stopped():
            log.info("batch_suspended")
            fits = self._run_nested()
            log.info("batch_resumed")
        batch.shares_memory = True
        if not fits:
            self._crowded.add(batch.claim.batch_key)
            raise NoRoom
        return True

    def _run_nested(self) -> bool:
        """Run an interactive batch if there is one, while another one is suspended; False if it needs the
        memory for itself."""
        began = time.monotonic()
        try:
            if self._photographs is not None and self._photographs.look():
                return True
            claim = self._claim((Lane.INTERACTIVE,))
        except Unavailable as error:
            log.warning("server_away", what="claim", reason=str(error))
            return True
        return claim is None or self._run(claim, began, nested=True)

    def _someone_waits(self) -> bool:
        if self._photographs is not None and self._photographs.waits():
            return True
        with self._database.session() as session:
            return batches.interactive_waits(session, lacks=self._lacking.left)

    def _hand_over(self, batch: "_Batch", computed: Computed) -> None:
        """Deliver in the background. Waits for the delivery of this lane before, for results must not pile up
        in memory; who waits for a picture does not wait for that."""
        claim = batch.claim
        before = self._delivering.get(claim.lane)
        while before is not None and not before.done():
            wait([before], NOTICE_SECONDS)
            with suppress(NoRoom):
                self._make_way(batch)

        def deliver() -> None:
            try:
                self._delivery.deliver(claim, computed, batch.keeper)
            finally:
                self._in_hand.discard(claim.lease_id)

        thread = self._threads[claim.lane]
        self._delivering[claim.lane] = thread.submit(contextvars.copy_context().run, deliver)


class _Batch:
    """A batch that is computed. `nested`: in the midst of other work; `shares_memory`: another batch is, or
    was since it began, in the device's memory."""

    def __init__(self, claim: Claim, keeper: LeaseKeeper, *, nested: bool) -> None:
        self.claim, self.keeper, self.nested = claim, keeper, nested
        self.watch = Stopwatch()
        self.shares_memory = nested
