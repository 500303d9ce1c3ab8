"""What is done to the service: one function a fault. Whatever is taken away is given back after a while."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
import redis
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import TextClause, text

from infra.local.servers import Servers
from services.base.errors import ImagoError
from services.base.storage import generator_key
from services.pictures import losses
from services.pictures.losses import Reason, Subject
from tests.soak.proxy import Mode, Proxy
from tests.soak.traffic import AT_ONCE, Traffic
from tests.store_faults import damage, lose
from tests.worker_processes import Scene, WorkerProcess, loaded

CRASH_POINTS = ("after_claim", "mid_batch", "after_put", "before_commit", "after_commit")
GRACE_SECONDS = 120.0
"""In which a worker that was asked to end must have ended, on the busiest machine."""

_PICTURE = text("""
    SELECT 'visualization' AS kind, digest AS id, object AS key FROM artifacts ORDER BY random() LIMIT 1
""")
_GENERATOR = text("SELECT 'generator' AS kind, id, weights_sha256 AS key FROM generators LIMIT 1")


class Faults:
    """Injects faults into a scene of `count` workers. `happened` counts them by name."""

    def __init__(
        self,
        scene: Scene,
        servers: Servers,
        proxy: Proxy,
        traffic: Traffic,
        chance: random.Random,
        count: int,
    ) -> None:
        self._scene = scene
        self._servers = servers
        self._proxy = proxy
        self._traffic = traffic
        self._chance = chance
        self._lease = scene.settings.lease_seconds
        self._timers: list[threading.Timer] = []
        self._away: set[str] = set()
        self._ending: dict[WorkerProcess, float] = {}
        self.happened: Counter[str] = Counter()
        self.last = "none"
        self.drained_seconds: list[float] = []
        self.faults: list[str] = []
        self.workers = [scene.start_worker() for _ in range(count)]
        self.kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "worker killed": (3, self._kill_worker),
            "child killed": (2, self._kill_child),
            "worker killed at a named point": (3, self._crash),
            "worker stopped beyond its lease": (2, self._pause_worker),
            "worker asked to end": (2, self._drain),
            "broker emptied": (2, self._empty_broker),
            "broker killed, back empty": (1, self._restart_broker),
            "database restarted at once": (2, self._restart_database),
            "database away beyond a lease": (1, self._take_database),
            "store killed": (1, self._take_store),
            "store slow": (1, lambda: self._disturb_store("slow")),
            "store answers 500": (1, lambda: self._disturb_store("error")),
            "store cuts answers": (1, lambda: self._disturb_store("cut")),
            "store refuses connections": (1, lambda: self._disturb_store("refuse")),
            "store silent": (1, lambda: self._disturb_store("silent")),
            "100 doorbells": (2, self._ring),
            "picture lost": (2, lambda: self._spoil(_PICTURE, "missing")),
            "picture damaged": (2, lambda: self._spoil(_PICTURE, "damaged")),
            "generator damaged": (1, lambda: self._spoil(_GENERATOR, "damaged")),
            "job canceled": (3, self._cancel),
            "job retried": (3, self._retry),
            f"{AT_ONCE} identical submits": (2, self._submit_together),
        }

    def inject(self, name: str | None = None) -> str | None:
        """One fault, by chance; its name, or None if it could not be done now."""
        names = list(self.kinds)
        name = name or self._chance.choices(names, [self.kinds[name][0] for name in names])[0]
        if not self.kinds[name][1]():
            return None
        self.happened[name] += 1
        self.last = name
        return name

    @property
    def deaths(self) -> int:
        """Faults that can cost the batches that a worker holds."""
        costly = ("worker killed", "child killed", "worker killed at a named point")
        return sum(self.happened[name] for name in (*costly, "worker stopped beyond its lease"))

    @property
    def outages(self) -> int:
        """Faults that can cost the batches that all workers hold."""
        return sum(self.happened[name] for name in self.kinds if name.startswith(("database", "store")))

    def tend(self) -> None:
        """Replace the workers that have ended, and those that do not end though they were asked to."""
        for worker in list(self.workers):
            asked_at = self._ending.get(worker)
            if worker.running and (asked_at is None or time.monotonic() - asked_at < GRACE_SECONDS):
                continue
            if worker.running:
                self.faults.append(f"worker {worker.pid} did not end within {GRACE_SECONDS:.0f} s of SIGTERM")
            elif asked_at is not None:
                self.drained_seconds.append(time.monotonic() - asked_at)
            self._ending.pop(worker, None)
            self._replace(worker)

    def give_back(self) -> None:
        """Undo whatever is still taken away, now."""
        for timer in self._timers:
            timer.join()
        self._servers.start()
        self._proxy.mode = "pass"

    def _later(self, seconds: float, undo: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, undo)
        timer.daemon = True
        timer.start()
        self._timers = [one for one in self._timers if one.is_alive()] + [timer]

    def _worker(self) -> WorkerProcess | None:
        """One that runs and that nothing is being done to."""
        free = [
            w for w in self.workers if w.running and w not in self._ending and str(w.pid) not in self._away
        ]
        return self._chance.choice(free) if free else None

    def _replace(self, worker: WorkerProcess, **variables: str) -> None:
        worker.kill()
        self.workers.remove(worker)
        self._scene.workers.remove(worker)
        self.workers.append(self._scene.start_worker(**variables))

    def _kill_worker(self) -> bool:
        worker = self._worker()
        if worker is not None:
            self._replace(worker)
        return worker is not None

    def _kill_child(self) -> bool:
        worker = self._worker()
        for process in worker.family()[1:] if worker else ():
            if loaded(process, "libtorch"):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                return True
        return False

    def _crash(self) -> bool:
        worker = self._worker()
        if worker is None:
            return False
        marker = self._scene.folder / f"crashed-{self.happened.total()}"
        point = self._chance.choice(CRASH_POINTS)
        self._replace(worker, IMAGO_CRASH_AT=point, IMAGO_CRASH_ONCE=str(marker))
        return True

    def _pause_worker(self) -> bool:
        worker = self._worker()
        if worker is None:
            return False
        self._away.add(str(worker.pid))
        worker.send_all(signal.SIGSTOP)

        def go_on() -> None:
            worker.send_all(signal.SIGCONT)
            self._away.discard(str(worker.pid))

        self._later(1.5 * self._lease, go_on)
        return True

    def _drain(self) -> bool:
        worker = self._worker()
        if worker is None:
            return False
        self._ending[worker] = time.monotonic()
        worker.send(signal.SIGTERM)
        return True

    def _empty_broker(self) -> bool:
        with suppress(redis.RedisError), redis.Redis.from_url(self._servers.valkey.url) as broker:
            broker.flushall()
            return True
        return False

    def _take(
        self, name: str, kill: Callable[[], object], seconds: float, back: Callable[[], object]
    ) -> bool:
        """Take a server away for so many seconds, unless it is away already."""
        if name in self._away:
            return False
        self._away.add(name)
        kill()

        def restore() -> None:
            back()
            self._away.discard(name)

        self._later(seconds, restore)
        return True

    def _restart_broker(self) -> bool:
        broker = self._servers.valkey
        return self._take("broker", broker.kill, self._chance.uniform(1, 5), broker.restart)

    def _restart_database(self) -> bool:
        if "database" in self._away:
            return False
        self._servers.postgres.restart_immediately()
        return True

    def _take_database(self) -> bool:
        database = self._servers.postgres
        return self._take("database", database.kill, 1.3 * self._lease, database.restart)

    def _take_store(self) -> bool:
        store = self._servers.seaweedfs
        return self._take("store", store.kill, self._chance.uniform(1, 1.3 * self._lease), store.restart)

    def _disturb_store(self, mode: Mode) -> bool:
        def set_mode(mode: Mode) -> None:
            self._proxy.mode = mode

        seconds = self._chance.uniform(2, self._lease)
        return self._take("proxy", lambda: set_mode(mode), seconds, lambda: set_mode("pass"))

    def _spoil(self, query: TextClause, reason: Reason) -> bool:
        """Lose or damage an object that a row points to, and let a reader come upon it, as the API would."""
        found = self._traffic.insist(lambda session: session.execute(query).first())
        if found is None:
            return False
        key = generator_key(found.key) if found.kind == "generator" else found.key
        try:
            if not self._scene.store.has(key):
                return False
            if reason == "missing":
                lose(self._scene.store, key)
            else:
                damage(self._scene.settings, key)
        except (ImagoError, BotoCoreError, ClientError):
            return False  # the store is away at the moment
        subject = Subject(found.kind, found.id)
        self._traffic.insist(lambda session: losses.note(session, subject, key, reason, "read"))
        return True

    def _ring(self) -> bool:
        self._traffic.ring(100)
        return True

    def _cancel(self) -> bool:
        self._traffic.cancel()
        return True

    def _retry(self) -> bool:
        self._traffic.retry()
        return True

    def _submit_together(self) -> bool:
        self._traffic.submit(users=AT_ONCE)
        return True
