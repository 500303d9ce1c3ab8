"""A small world on real servers, with workers as real processes that a test can kill, pause and end."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import text

from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.generators import Generator, get_generator
from services.catalog.layer_selection import list_layers
from services.catalog.layers import Layer
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import Network, get_network, register_network
from services.catalog.shipped_generator import register_shipped_generator
from services.jobs import jobs, submission
from services.jobs.job_request import JobRequest
from services.jobs.planning import Limits
from services.jobs.progress import JobView
from tests import small_world
from tests.bare_child import PATIENCE_SECONDS, BareChild
from worker.inspecting.inspector import Inspector
from worker.leasing.held_leases import HeldLeases
from worker.loading.runtime import Runtime
from worker.process.devices import choose_device
from worker.process.stopping import StopFlag

ROOT = Path(__file__).resolve().parent.parent
NETWORK = "small.random"
LEASE_SECONDS = 3.0
MAX_BATCH = 8

OFTEN = 0.05
"""Seconds between two looks at what passes quickly."""


def until(
    condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS, every: float = 0.25
) -> None:
    """Wait for a condition. Fails the test when it never comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(every)


class WorkerProcess:
    """`python -m worker` in a session of its own."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "worker"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._parent.pid

    @property
    def running(self) -> bool:
        return self._parent.poll() is None

    def family(self) -> list[psutil.Process]:
        """The parent and its descendants."""
        try:
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def child(self) -> psutil.Process:
        """The process that computes: the only one that has torch loaded."""
        found: list[psutil.Process] = []

        def appears() -> bool:
            assert self.running, self.tail()
            found[:] = [p for p in self.family()[1:] if loaded(p, "libtorch")]
            return bool(found)

        until(appears, "the worker's child has loaded torch")
        return found[0]

    def send(self, number: signal.Signals) -> None:
        """To the parent alone, as container engines do."""
        self._parent.send_signal(number)

    def send_all(self, number: signal.Signals) -> None:
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """kill -9 of all its processes at once."""
        self.send_all(signal.SIGKILL)
        self._parent.wait()

    def end(self) -> int:
        """SIGTERM, and the exit status of the parent."""
        self.send(signal.SIGTERM)
        return self._parent.wait(timeout=60)

    def tail(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-60:])


def loaded(process: psutil.Process, library: str) -> bool:
    try:
        return any(library in mapped.path for mapped in process.memory_maps())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@dataclass
class Scene:
    """The world of one test. Make it with `build`."""

    database: Database
    store: ObjectStore
    settings: Settings
    environment: dict[str, str]
    folder: Path
    workers: list[WorkerProcess | BareChild] = field(default_factory=list)
    _newest_lease_before: int = 0

    @classmethod
    def build(
        cls,
        database: Database,
        store: ObjectStore,
        settings: Settings,
        environment: Mapping[str, str],
        folder: Path,
        *,
        lease_seconds: float = LEASE_SECONDS,
        max_batch: int = MAX_BATCH,
    ) -> "Scene":
        """A network, inspected, and a default generator, both small."""
        small_world.write_network(folder)
        generator = small_world.write_generator(folder)
        changes = {
            "lease_seconds": lease_seconds,
            "heartbeat_seconds": 0.1,  # so that a test soon sees how far a batch is
            "poll_seconds": 0.25,
            "max_batch": max_batch,
            "threads": 1,  # two would fight over the cores with the servers
            "weights_folder": folder,
            "cache_folder": folder / "cache",
            "generator_path": generator,
        }
        settings = settings.model_copy(update=changes)
        variables = {f"IMAGO_{name.upper()}": str(value) for name, value in changes.items()}
        scene = cls(database, store, settings, {**environment, **variables}, folder)
        register_shipped_generator(database, store, generator)
        scene.register(NETWORK)
        assert scene.inspector().look()
        return scene

    def register(self, network: str, weights: str = small_world.NETWORK_FILE) -> None:
        request = RegisterNetwork(
            id=network,
            source="file",
            architecture=f"timm:{small_world.ARCHITECTURE}",
            weights=weights,
            classes=small_world.CLASSES,
        )
        with self.database.session() as session:
            register_network(session, request)

    def inspector(self, on_pause: Callable[[], object] = lambda: None) -> Inspector:
        runtime, stop = Runtime(self.database, self.store, self.settings, choose_device("cpu")), StopFlag()
        held = HeldLeases(self.database, self.settings, "tester", stop)
        return Inspector(held, runtime, stop, on_pause=on_pause)

    def network(self, id: str = NETWORK) -> Network:
        with self.database.session() as session:
            return get_network(session, id)

    def layers(self, id: str = NETWORK) -> Sequence[Layer]:
        with self.database.session() as session:
            return list_layers(session, id).data

    def default_generator(self) -> Generator:
        with self.database.session() as session:
            return get_generator(session)

    def start_worker(self, **variables: str) -> WorkerProcess:
        """The whole thing, as people run it."""
        worker = WorkerProcess({**self.environment, **variables}, self._log())
        self.workers.append(worker)
        return worker

    def start_child(self, **variables: str) -> BareChild:
        """Only what computes: for what does not depend on Celery."""
        child = BareChild({**self.environment, **variables}, self._log())
        self.workers.append(child)
        return child

    def _log(self) -> Path:
        self._newest_lease_before = self.count("SELECT coalesce(max(id), 0) FROM leases")
        return self.folder / f"worker-{len(self.workers)}.log"

    def submit(self, units: str, *, steps: int = 10, layer: str = "output", lane: str = "interactive") -> str:
        """Submit a job without ringing: what rings, and whether, is up to the test."""
        request = JobRequest.model_validate(
            {
                "network": NETWORK,
                "targets": [{"layer": layer, "units": units}],
                "recipe": {"parameters": {"steps": steps}},
                "lane": lane,
            }
        )
        with self.database.session() as session:
            return submission.submit(session, request, owner=None, limits=Limits(20_000)).job.id

    def job(self, job_id: str) -> JobView:
        with self.database.session() as session:
            return jobs.get(session, job_id)

    def count(self, query: str) -> int:
        """A number from the database."""
        with self.database.session() as session:
            return int(session.execute(text(query)).scalar_one())

    def computing(self) -> bool:
        """Whether the newest worker is in mid-ascent, as its heartbeat says."""
        open_leases = "SELECT count(*) FROM leases WHERE kind = 'batch' AND ended_at IS NULL AND steps > 0"
        return self.count(f"{open_leases} AND id > {self._newest_lease_before}") > 0

    def wait_until_computing(self, when: str = "") -> None:
        """Wait for the newest worker to be in mid-ascent, which may soon be over."""
        until(self.computing, f"a batch is being computed {when}".rstrip(), every=OFTEN)

    def hurry(self) -> bool:
        """Let the time pass that items wait after a failure or a crash. False, for use in a condition."""
        with self.database.session() as session:
            session.execute(text("UPDATE visualizations SET not_before = NULL WHERE not_before IS NOT NULL"))
        return False

    def wait_until_ended(self, job_id: str) -> JobView:
        """Wait for the job, but not for what its items wait for after a crash: that they do is the matter of
        tests/integration/queue/test_crashes.py.
        """

        def ended() -> bool:
            for worker in self.workers[-1:]:
                assert worker.running, worker.tail()
            return self.hurry() or self.job(job_id).ended

        try:
            until(ended, f"job {job_id} has ended")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.job(job_id).units}\n{self.workers[-1].tail()}") from None
        return self.job(job_id)

    def check(self, job_id: str) -> Counter[str]:
        """The oracle: everything that must hold when a job has ended, whatever happened meanwhile.

        Returns how many items ended in which state.
        """
        with self.database.session() as session:
            rows = session.execute(
                text("""
                    SELECT v.*, (
                        SELECT jsonb_object_agg(kind, object) FROM artifacts a WHERE a.digest = v.digest
                    ) AS objects
                    FROM visualizations v JOIN job_visualizations jv ON jv.digest = v.digest
                    WHERE jv.job_id = :id
                """),
                {"id": job_id},
            ).all()
            open_leases = session.execute(
                text("""
                    SELECT count(*) FROM leases
                    WHERE kind = 'batch' AND ended_at IS NULL AND expires_at > now()
                """)
            ).scalar_one()
        job = self.job(job_id)
        states = Counter(row.state for row in rows)
        assert len({row.digest for row in rows}) == len(rows) == job.units.total
        assert set(states) <= {"done", "failed", "unreachable", "canceled"}
        for state in ("done", "failed", "unreachable", "canceled"):
            assert getattr(job.units, state) == states[state]
        for row in rows:
            assert row.lease_id is None
            if row.state == "failed":
                assert row.error["message"]
            if row.state == "done":
                assert {"image", "code", "trace"} <= row.objects.keys()
                for key in row.objects.values():
                    assert hashlib.sha256(self.store.get(key)).hexdigest() in key
        assert open_leases == 0
        return states

    def accepted(self) -> int:
        """Results that changed a row: one an item, or a picture was accepted twice."""
        return self.count("SELECT coalesce(sum(settled), 0) FROM leases WHERE kind = 'batch'")

    def fingerprint(self, job_id: str) -> list[str]:
        """All that is stored of a job's items."""
        query = """
            SELECT v::text || coalesce(
                (SELECT string_agg(a::text, '' ORDER BY kind) FROM artifacts a WHERE a.digest = v.digest), '')
            FROM visualizations v JOIN job_visualizations jv ON jv.digest = v.digest
            WHERE jv.job_id = :id ORDER BY v.digest
        """
        with self.database.session() as session:
            return list(session.scalars(text(query), {"id": job_id}))

    def computed_for_nothing(self) -> int:
        """Items of batches that were lost with their worker: at most these were computed twice."""
        expired = "kind = 'batch' AND outcome = 'expired'"
        return self.count(f"SELECT coalesce(sum(items - settled), 0) FROM leases WHERE {expired}")

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        for thread in threading.enumerate():
            if thread.name == "heartbeat":  # of a batch in this process, on its way back from the database
                thread.join(PATIENCE_SECONDS)
