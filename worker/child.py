"""The pool's child process: the only one that imports torch and touches the device.

It is spawned, not forked, so it starts empty; everything that has a socket, a thread or a device is made
here.
"""

import logging
import os
import signal
import socket
import threading
import uuid
from typing import TYPE_CHECKING

import structlog

from services import log as logs
from services.settings import Settings
from worker.stopping import StopFlag

if TYPE_CHECKING:
    from worker.batch_runner import BatchRunner
    from worker.patrol import Patrol
    from worker.trainer import Trainer

TRAINING_GRACE_SECONDS = 30.0
"""Time to save a training: a step of it, its checkpoint and the upload. Where the process is killed earlier,
the training goes on from its last checkpoint elsewhere."""
GRACE_SECONDS = 8.0
"""Time to bring the last batch home after a stop; container engines send SIGKILL 10 s after SIGTERM."""
STOP_SIGNAL = signal.SIGURG
"""How the parent tells its child to stop. Ignored by default, so it does no harm to a child that is only
starting; billiard turns nearly every other signal into an immediate exit when it comes twice, as SIGTERM to
a whole process group and from the parent does."""

log = structlog.get_logger()


class Child:
    """What one child process consists of. Made and started once, in `start`; ended in `shut_down`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = StopFlag()
        self._ready = threading.Event()
        self._patrol: Patrol | None = None
        self._runner: BatchRunner | None = None
        self._trainer: Trainer | None = None
        # Torch takes seconds to import: in the thread, so that the parent soon hears that its child is up.
        self._thread = threading.Thread(target=self._work, name="patrol", daemon=True)

    def start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent decides, see STOP_SIGNAL
        signal.signal(STOP_SIGNAL, lambda signum, frame: self._stop.ask(self._grace_seconds))
        self._thread.start()

    def answer(self) -> None:
        """Answer a doorbell: returns when there is no work left, so that a busy worker leaves bells to idle
        ones."""
        self._ready.wait()
        if self._patrol is not None:
            self._patrol.answer()

    def shut_down(self) -> None:
        """Called on the way out. Gives the leases back even if a step of the computation does not end."""
        grace = self._grace_seconds
        self._stop.ask(grace)
        self._thread.join(grace)
        if self._thread.is_alive() and self._runner is not None and self._trainer is not None:
            log.warning("stopped_in_mid_step")
            self._runner.abandon()
            self._trainer.abandon()

    @property
    def _grace_seconds(self) -> float:
        trains = self._trainer is not None and self._trainer.busy
        return TRAINING_GRACE_SECONDS if trains else GRACE_SECONDS

    def _work(self) -> None:
        try:
            self._assemble()
        except Exception:
            log.critical("worker_cannot_start", exc_info=True)
            os._exit(1)  # the parent starts another child, which may find the servers up
        finally:
            self._ready.set()
        if self._patrol is not None:
            threading.Thread(target=self._stay_seen, name="presence", daemon=True).start()
            self._patrol.run()
            self._sign_off()

    def _assemble(self) -> None:
        """Import torch, choose the device, make the clients, and introduce the worker to the servers."""
        from services import workers
        from services.broker import Doorbell
        from services.database import Database
        from services.errors import Unavailable
        from services.schema import Lane
        from services.shipped_generator import register_shipped_generator
        from services.storage import ObjectStore
        from worker.batch_runner import BatchRunner
        from worker.batch_size import BatchSizer
        from worker.delivery import Delivery
        from worker.devices import choose_device
        from worker.inspector import Inspector
        from worker.patrol import Patrol
        from worker.persistence import persist
        from worker.provenance import Provenance
        from worker.runtime import Runtime
        from worker.trainer import Trainer
        from worker.training_data import has_data_root

        settings, stop = self._settings, self._stop
        device = choose_device(settings.device, settings.threads)
        host = socket.gethostname()
        worker_id = f"{host}-{uuid.uuid4().hex[:8]}"
        structlog.contextvars.bind_contextvars(worker=worker_id)
        self._database = database = Database(settings.database_url)
        self._worker_id = worker_id
        store = ObjectStore(settings)
        runtime = Runtime(database, store, settings, device)

        def introduce() -> None:
            store.ensure_bucket()
            with database.session() as session:
                workers.register(
                    session,
                    worker_id,
                    host=host,
                    device=device.description,
                    has_data_root=has_data_root(settings.data_root),
                )
            register_shipped_generator(database, store, settings.generator_path)

        try:
            persist(introduce, what="introduce", may_go_on=lambda: not stop.asked, wait=stop.wait)
        except Unavailable:
            return  # asked to stop before the database came up
        doorbell = Doorbell(settings.broker_url)
        delivery = Delivery(database, store, Provenance(worker_id, device), stop)
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
        )
        self._trainer = Trainer(
            database=database,
            store=store,
            settings=settings,
            worker_id=worker_id,
            stop=stop,
            let_go=runtime.let_go,
        )
        self._patrol = Patrol(
            database=database,
            runner=self._runner,
            inspector=Inspector(database, runtime),
            trainer=self._trainer,
            poll_seconds=settings.poll_seconds,
            ring=lambda: doorbell.ring(Lane.INTERACTIVE),
            stop=stop,
        )
        log.info("worker_ready", device=device.description, trains=has_data_root(settings.data_root))

    def _stay_seen(self) -> None:
        """Tell the database that this worker lives, also while it downloads a network for minutes."""
        from services import workers
        from services.errors import Unavailable
        from worker.training_data import has_data_root

        while not self._stop.wait(self._settings.heartbeat_seconds):
            try:
                with self._database.session() as session:
                    workers.seen(
                        session,
                        self._worker_id,
                        has_data_root=has_data_root(self._settings.data_root),
                    )
            except Unavailable as error:
                log.warning("server_away", what="presence", reason=str(error))

    def _sign_off(self) -> None:
        from services import workers
        from services.errors import Unavailable

        try:
            with self._database.session() as session:
                workers.stopped(session, self._worker_id)
        except Unavailable as error:
            log.warning("sign_off_failed", reason=str(error))
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
