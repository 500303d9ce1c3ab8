"""The pool's child process: the only one that imports torch and touches the device.

It is spawned, not forked, so it starts empty; everything that has a socket, a thread or a device is made
here.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING

import structlog

from services.base import log as logs
from services.base.settings import Settings
from worker.process.stopping import NOTICE_SECONDS, StopFlag

if TYPE_CHECKING:
    from worker.batches.runner import BatchRunner
    from worker.inspecting.inspector import Inspector
    from worker.leasing.work_loop import WorkLoop
    from worker.process.presence import Presence
    from worker.trainings.trainer import Trainer
    from worker.upkeep.chores import Upkeep

GRACE_SHARE = 0.6
"""Share of `stop_seconds` for bringing home what can be: the last batch, or a checkpoint of a training. Where
that is not enough the items are given back, and a training goes on from its last checkpoint elsewhere."""
LAST_SHARE = 0.25
"""Share of it that giving back may take after that; a database that is away must not hold a process that is
to end."""
STOP_SIGNAL = signal.SIGURG
"""How the parent tells its child to stop. Ignored by default, so it does no harm to a child that is only
starting; billiard turns nearly every other signal into an immediate exit when it comes twice, as SIGTERM to
a whole process group and from the parent does."""

PARENT_SECONDS = 1.0
"""How often a child looks whether it still has its parent."""
log = structlog.get_logger()


class Child:
    """What one child process consists of. Made and started once, in `start`; ended in `shut_down`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last_seconds = LAST_SHARE * settings.stop_seconds
        self._stop = StopFlag()
        self._ready = threading.Event()
        self._loop: WorkLoop | None = None
        self._runner: BatchRunner | None = None
        self._trainer: Trainer | None = None
        self._inspector: Inspector | None = None
        self._upkeep: Upkeep | None = None
        self._presence: Presence | None = None
        self._parent = os.getppid()
        # Torch takes seconds to import: in the thread, so that the parent soon hears that its child is up.
        self._thread = threading.Thread(target=self._work, name="work", daemon=True)

    def start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent decides, see STOP_SIGNAL
        signal.signal(STOP_SIGNAL, lambda signum, frame: self._ask())
        self._thread.start()
        threading.Thread(target=self._see_to_the_end, name="stop", daemon=True).start()

    def answer(self) -> None:
        """Answer a doorbell: returns when there is no work left, so that a busy worker leaves bells to idle
        ones, or when the worker is to stop, though a step be still running."""
        while not self._ready.wait(NOTICE_SECONDS) and not self._stop.asked:
            pass
        if self._loop is not None:
            self._loop.answer()

    def shut_down(self) -> None:
        """Called on the way out. Returns when everything is given back, or time is up."""
        self._ask()
        if self._ready.is_set() or self._presence is not None:
            self._thread.join(self._stop.seconds_left + self._last_seconds)

    def _ask(self) -> None:
        self._stop.ask(GRACE_SHARE * self._settings.stop_seconds)

    def _see_to_the_end(self) -> None:
        """End this process in time once it is asked to stop: whatever the computing thread is in the midst of
        (a long step, an import, a download) and whatever the parent waits for."""
        while not self._stop.wait(PARENT_SECONDS):
            if os.getppid() != self._parent:
                log.warning("parent_gone")
                self._ask()
        self._thread.join(self._stop.seconds_left)
        if self._thread.is_alive():
            log.warning("stopped_in_mid_step")
            giving_back = threading.Thread(target=self._abandon, name="abandon", daemon=True)
            giving_back.start()
            giving_back.join(self._last_seconds)
        else:
            time.sleep(self._stop.seconds_left)  # the parent's pool likes to end its children itself
        sys.stderr.flush()
        os._exit(0)

    def _abandon(self) -> None:
        """Give back what is in hand, which nobody else will now."""
        for hand in (self._runner, self._trainer, self._inspector, self._upkeep):
            if hand is not None:
                hand.abandon()
        self._sign_off()

    def _work(self) -> None:
        try:
            self._assemble()
        except Exception:
            log.critical("worker_cannot_start", exc_info=True)
            os._exit(1)  # the parent starts another child, which may find the servers up
        finally:
            self._ready.set()
        if self._loop is not None:
            try:
                self._loop.run()
            except BaseException:
                log.critical("work_loop_ended", exc_info=True)
                os._exit(1)  # a worker that only seems to live would be worse than one that starts anew
        if self._presence is not None:
            self._sign_off()

    def _assemble(self) -> None:
        """Import torch, choose the device, make the clients, and introduce the worker to the servers."""
        from services.base.broker import Doorbell
        from services.base.database import Database
        from services.base.errors import Unavailable
        from services.base.states import Lane
        from services.base.storage import ObjectStore
        from services.catalog.shipped_generator import register_shipped_generator
        from services.trainings.checks import has_data_root
        from worker.batches.deliver import Delivery
        from worker.batches.provenance import Provenance
        from worker.batches.runner import BatchRunner
        from worker.batches.size import BatchSizer
        from worker.inspecting.inspector import Inspector
        from worker.leasing.held_leases import HeldLeases
        from worker.leasing.lacking import Lacking
        from worker.leasing.retries import keep_trying
        from worker.leasing.work_loop import WorkLoop
        from worker.loading.runtime import Runtime
        from worker.process.devices import choose_device
        from worker.process.presence import Presence
        from worker.process.store_watch import StoreWatch
        from worker.trainings.trainer import Trainer
        from worker.upkeep.chores import Upkeep
        from worker.upkeep.repairs import Repairer

        settings, stop = self._settings, self._stop
        device = choose_device(settings.device, settings.threads)
        worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        structlog.contextvars.bind_contextvars(worker=worker_id)
        self._database = database = Database(settings.database_url)
        store = ObjectStore(settings)
        runtime = Runtime(database, store, settings, device)

        watch, lacking = StoreWatch(store), Lacking()
        presence = Presence(database, settings, worker_id, device.description, watch, stop, lacking)

        def prepare_store() -> None:
            try:
                store.ensure_bucket()
                register_shipped_generator(database, store, settings.generator_path)
            except Unavailable as error:
                watch.failed(error)
                raise

        try:
            keep_trying(
                presence.introduce, what="introduce", may_go_on=lambda: not stop.asked, wait=stop.wait
            )
            # From here on people see this worker, and what keeps it from working.
            presence.start()
            self._presence = presence
            keep_trying(prepare_store, what="store", may_go_on=lambda: not stop.asked, wait=stop.wait)
        except Unavailable:
            return  # asked to stop before the servers came up
        held = HeldLeases(database, settings, worker_id, stop)
        doorbell = Doorbell(settings.broker_url)
        provenance = Provenance(worker_id, device)
        delivery = Delivery(
            database,
            store,
            provenance,
            stop,
            store_patience=settings.store_patience_seconds,
            store_watch=watch,
        )
        sizer = BatchSizer(
            batch_seconds=settings.batch_seconds,
            max_batch=settings.max_batch,
            round_size=device.round_size,
        )
        self._runner = BatchRunner(
            database=database,
            runtime=runtime,
            sizer=sizer,
            delivery=delivery,
            settings=settings,
            worker_id=worker_id,
            stop=stop,
            lacking=lacking,
        )
        self._trainer = Trainer(
            held=held,
            store=store,
            settings=settings,
            stop=stop,
            let_go=runtime.let_go,
            store_watch=watch,
        )
        self._inspector = Inspector(runtime, held, stop)
        self._upkeep = Upkeep(
            database=database,
            store=store,
            repairer=Repairer(
                store=store,
                runtime=runtime,
                provenance=provenance,
                settings=settings,
                held=held,
            ),
            settings=settings,
            worker_id=worker_id,
            stop=stop,
        )
        self._loop = WorkLoop(
            database=database,
            runner=self._runner,
            inspector=self._inspector,
            trainer=self._trainer,
            upkeep=self._upkeep,
            poll_seconds=settings.poll_seconds,
            ring=lambda: doorbell.ring(Lane.INTERACTIVE),
            stop=stop,
        )
        log.info("worker_ready", device=device.description, trains=has_data_root(settings.data_root))

    def _sign_off(self) -> None:
        if self._presence is not None:
            self._presence.sign_off()
            self._database.dispose()


_child: Child | None = None


def start(**_: object) -> None:
    """Celery's `worker_process_init`: the child has just been spawned."""
    global _child
    settings = Settings()  # the entry point of this process
    logs.configure(settings.log_format, settings.log_level)
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)  # it reports every doorbell's end
    _child = Child(settings)
    _child.start()


def shut_down(**_: object) -> None:
    """Celery's `worker_process_shutdown`, in the child: the parent was asked to stop."""
    if _child is not None:
        _child.shut_down()


def answer() -> None:
    """Answer a doorbell in this process."""
    if _child is not None:
        _child.answer()
