"""Telling the database that this worker lives, also while it downloads a network for minutes."""

import socket
import threading
from collections.abc import Callable

import structlog

from services.access.data_root import has_data_root
from services.base.database import Database
from services.base.errors import Unavailable
from services.base.settings import Settings
from services.queue import workers
from worker.leasing.lacking import Lacking
from worker.leasing.work_kinds import nothing
from worker.maps.process import can_draw
from worker.process.stopping import StopFlag
from worker.process.store_watch import StoreWatch

SOONER = 0.25
"""Share of a heartbeat after which a database that was away is told again."""
log = structlog.get_logger()


class Presence:
    """What people see of a worker: that it lives, and what keeps it from working."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker_id: str,
        device: str,
        store_watch: StoreWatch,
        stop: StopFlag,
        lacking: Lacking | None = None,
        *,
        heard: Callable[[], object] = nothing,
    ) -> None:
        """`heard` is called whenever the database has answered; it may raise `Unavailable`."""
        self._database = database
        self._settings = settings
        self._worker_id = worker_id
        self._device = device
        self._store_watch = store_watch
        self._stop = stop
        self._lacking = lacking or Lacking()
        self._heard = heard

    def introduce(self) -> None:
        """Note that the worker has started. Raises `Unavailable`."""
        with self._database.session() as session:
            workers.register(
                session,
                self._worker_id,
                host=socket.gethostname(),
                device=self._device,
                has_data_root=has_data_root(self._settings.data_root),
                draws_maps=can_draw(),
                heartbeat_seconds=self._settings.heartbeat_seconds,
            )
        self._heard()

    def start(self) -> None:
        """From here on it is seen, until it is asked to stop."""
        threading.Thread(target=self._stay_seen, name="presence", daemon=True).start()
        threading.Thread(target=self._ask_store, name="store", daemon=True).start()

    def sign_off(self) -> None:
        """Note that the worker has stopped. Never raises."""
        try:
            with self._database.session() as session:
                workers.stopped(session, self._worker_id)
        except Unavailable as error:
            log.warning("sign_off_failed", reason=str(error))

    def _stay_seen(self) -> None:
        beat = pause = self._settings.heartbeat_seconds
        while not self._stop.wait(pause):
            pause = beat
            try:
                with self._database.session() as session:
                    workers.seen(
                        session,
                        self._worker_id,
                        has_data_root=has_data_root(self._settings.data_root),
                        reason=self._store_watch.reason or self._lacking.reason,
                        lacks=self._lacking.told,
                    )
                self._heard()
            except Unavailable as error:
                log.warning("server_away", what="presence", reason=str(error))
                pause = SOONER * beat
            except Exception:  # without this thread a worker that lives would be lost for ever
                log.exception("presence_failed")
                pause = SOONER * beat

    def _ask_store(self) -> None:
        """So that people see why nothing is done, also while nothing is to do. In a thread of its own: a
        store that does not answer must not make a worker that lives look dead."""
        while not self._stop.wait(self._settings.heartbeat_seconds):
            try:
                self._store_watch.answers()
            except Exception:
                log.exception("store_not_asked")
