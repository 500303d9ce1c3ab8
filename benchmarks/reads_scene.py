"""What `benchmarks.reads`, `.slow_clients` and `.events` read: finished visualizations of one layer, on
servers of their own, and the API as `make up` starts it.
"""

import io
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.networks import LayerInfo
from infra.local import ports
from infra.local.endpoints import Endpoints
from infra.local.processes.supervision import uninterrupted
from infra.local.servers import running
from services.base.database import Database, migrate
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog.generators import register_generator
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.jobs import jobs
from services.jobs.job_request import JobRequest
from services.jobs.submission import submit
from services.pictures.artifacts import put
from services.queue import batches
from services.queue.batches import Finished, Work

CHECKOUT = Path(__file__).resolve().parent.parent
NETWORK, LAYER = "bench.reads", "classifier"
UNITS, SEEDS, CLASSES = 24, 4, 1000
PIXELS = 128


@dataclass(frozen=True)
class Scene:
    """Addresses of the API under measurement, and what it has to read."""

    url: str
    digest: str

    @property
    def picture(self) -> str:
        return f"/v1/visualizations/{self.digest}/image"

    @property
    def visualization(self) -> str:
        return f"/v1/visualizations/{self.digest}"

    @property
    def unit(self) -> str:
        return f"/v1/networks/{NETWORK}/layers/{LAYER}/units/3"


@contextmanager
def running_servers(home: Path) -> Iterator[tuple[Endpoints, str]]:
    """Servers with finished pictures, for the time of the block, and the digest of one of the pictures."""
    home.mkdir()
    home.chmod(0o711)
    with running(home, durable=False) as servers:
        yield servers.endpoints, stage(servers.endpoints)


@contextmanager
def served(endpoints: Endpoints, checkout: Path = CHECKOUT) -> Iterator[str]:
    """The API of `checkout` as a process of its own; its address."""
    port = ports.pick(1)[0]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "api", "serve", "--port", str(port)],
        cwd=checkout,
        env={
            **os.environ,
            **endpoints.environment(),
            "IMAGO_LOG_FORMAT": "json",
            "PYTHONPATH": f"{checkout}:{checkout / 'engine' / 'src'}",
        },
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(url, process)
        yield url
    finally:
        with uninterrupted():
            process.terminate()
            process.wait(timeout=60)


def _wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the API ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit("the API does not answer")


def settings_of(endpoints: Endpoints) -> Settings:
    """The settings of processes that use these servers."""
    names = endpoints.environment()
    return Settings(**{name.removeprefix("IMAGO_").lower(): value for name, value in names.items()})


def stage(endpoints: Endpoints) -> str:
    """Register, submit and finish; returns the digest of one picture."""
    settings = settings_of(endpoints)
    migrate(settings.database_url)
    database, store = Database(settings.database_url, pool_size=2), ObjectStore(settings)
    store.ensure_bucket()
    info = {
        "architecture": "compact",
        "code_shape": [16],
        "image_size": PIXELS,
        "encoder": NETWORK,
        "recommended": {"learning_rate": 0.5, "steps": 20},
    }
    with database.session() as session:
        register_network(session, RegisterNetwork(id=NETWORK))
        record_inspection(
            session,
            NETWORK,
            weights_sha256="a" * 64,
            preprocessing={"size": 224},
            labels=[f"class number {index}" for index in range(CLASSES)],
            layers=[LayerInfo(LAYER, "output", CLASSES, None, None, None)],
        )
        register_generator(session, "bench", info, "b" * 64, default=True)
    request = JobRequest.model_validate(
        {
            "network": NETWORK,
            "targets": [{"layer": LAYER, "units": f"0-{UNITS - 1}"}],
            "seeds": list(range(SEEDS)),
        }
    )
    with database.session() as session:
        job = submit(session, request).job
    work_off(database, store)
    with database.session() as session:
        digest = jobs.items(session, job.id, limit=1).data[0].digest
    database.dispose()
    return digest


def work_off(database: Database, store: ObjectStore) -> None:
    """Do what a worker does with all that waits, with pictures of noise."""
    while True:
        with database.session() as session:
            claim = batches.claim(session, "bench", limit=64, lease_seconds=600)
        if claim is None:
            return
        results = [result(store, work) for work in claim.items]
        with database.session() as session:
            batches.conclude(session, claim.lease_id, finished=results)


def result(store: ObjectStore, work: Work) -> Finished:
    """A picture of noise: as large as pictures become."""
    drawn = io.BytesIO()
    Image.frombytes("RGB", (PIXELS, PIXELS), secrets.token_bytes(PIXELS * PIXELS * 3)).save(drawn, "PNG")
    return Finished(
        digest=work.digest,
        activation=1.0,
        predictions=[[index, 0.2] for index in range(5)],
        artifacts=[put(store, Artifact(ArtifactKind.IMAGE, "image/png", drawn.getvalue(), PIXELS, PIXELS))],
        crop_box=None,
        provenance={"device": "none", "worker": "bench", "batch_size": 64},
    )
