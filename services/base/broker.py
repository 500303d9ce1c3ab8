"""The doorbell: a message that says "come and claim" and carries no work. Losing all of them loses
nothing.
"""

import threading
import time

import redis
import structlog
from celery import Celery

from services.base.errors import Unavailable

TASK = "imago.work"
QUEUE = "imago"
_EXPIRES_SECONDS = 30
"""A bell that nobody answered by then says nothing new: workers look by themselves too."""
_TIMEOUT_SECONDS = 1.0
_SILENCE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Doorbell:
    """Rings for workers through Celery's broker. Threads may share it; processes make their own.

    `bound` is about twice the number of workers: more bells than can be answered say nothing more.
    """

    def __init__(self, broker_url: str, *, bound: int = 16) -> None:
        self._bound = bound
        self._redis = redis.Redis.from_url(
            broker_url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        self._app = Celery("imago-doorbell", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_ignore_result=True,
            task_serializer="json",
            task_publish_retry=False,  # whoever submits must not wait for a broker that is away
            broker_connection_timeout=_TIMEOUT_SECONDS,
            broker_transport_options={
                "socket_timeout": _TIMEOUT_SECONDS,
                "socket_connect_timeout": _TIMEOUT_SECONDS,
                "connect_retries_timeout": _TIMEOUT_SECONDS,
                "max_retries": 0,
            },
        )
        self._silent_until = 0.0
        self._lock = threading.Lock()

    def ring(self, lane: str) -> bool:
        """Say that there is something to claim; ring after the commit that put it there. Never raises.

        True if a message was sent: not while enough of them wait, nor for 5 s after the broker did not
        answer, so that it costs a second once and not in every request.
        """
        if time.monotonic() < self._silent_until:
            return False
        with self._lock:
            # Whoever waited here while another found out that the broker is silent need not find out again.
            if time.monotonic() < self._silent_until:
                return False
            try:
                if self._redis.llen(QUEUE) >= self._bound:
                    return False
                self._app.send_task(
                    TASK, queue=QUEUE, expires=_EXPIRES_SECONDS, ignore_result=True, retry=False
                )
            except Exception as error:
                # kombu lets through errors of redis, of sockets and its own: none may fail what is committed.
                self._silent_until = time.monotonic() + _SILENCE_SECONDS
                log.warning("doorbell_unheard", lane=lane, error=str(error))
                return False
        log.debug("doorbell_rung", lane=lane)
        return True

    def ping(self) -> None:
        """Return when the broker answers. Raises `Unavailable`."""
        try:
            self._redis.ping()
        except (redis.RedisError, OSError) as error:
            raise Unavailable("broker", str(error)) from error

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
        self._redis.close()
