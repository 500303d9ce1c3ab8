"""The client against the API itself, over HTTP: one server, database and bucket for all tests, emptied before
each. A worker's part is played by the calls that workers make.
"""

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result
from werkzeug.serving import make_server

import imago
from api import create_app
from api.context import context
from api.http import waiting
from imago.cli import app
from imago_engine.artifacts import Artifact, ArtifactKind
from imago_engine.networks import LayerInfo
from infra.local.servers import Servers
from services.access import keys
from services.base.database import Database
from services.base.settings import Settings
from services.base.storage import ObjectStore
from services.catalog import generators
from services.catalog.inspection_leases import claim_inspection
from services.catalog.inspections import record_inspection
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import register_network
from services.pictures.artifacts import put
from services.queue import batches
from services.queue.batches import Claim, Failure, Finished
from tests.emptying import empty
from tests.own_settings import own_settings

NETWORK = "efficientnet_lite0.imagenet"
LABELS = ["tench", "goldfish", "great white shark", *(f"class {index}" for index in range(3, 1000))]
LAYERS = [
    LayerInfo("blocks.3", "block", 80, (14, 14), 100, 16, role="block"),
    LayerInfo("blocks.7", "block", 48, None, None, None, tokens=17, usual_token=0, role="block"),
    LayerInfo("norm", "norm", 48, None, None, None, tokens=17, usual_token=0, twin_of="blocks.7"),
    LayerInfo("classifier", "output", 1000, None, None, None, role="output"),
]
CLIENT = Path(__file__).parents[2] / "client" / "src"


def picture_of(unit: int) -> bytes:
    """A PNG of 24 × 24 pixels whose colour tells the unit."""
    file = io.BytesIO()
    Image.new("RGB", (24, 24), (unit % 256, unit // 256, 128)).save(file, format="PNG")
    return file.getvalue()


@dataclass
class Service:
    """A running API with one network and one generator, and the means to do a worker's part."""

    url: str
    key: str
    database: Database
    store: ObjectStore
    settings: Settings

    def claim(self, limit: int = 64) -> Claim:
        """Take the next batch, as a worker does."""
        with self.database.session() as session:
            claim = batches.claim(session, "test-worker", limit=limit, lease_seconds=60)
        assert claim is not None
        return claim

    @staticmethod
    def told_of(claim: Claim) -> dict[str, Any]:
        """What everybody is told of where the pictures of a batch come from, which `finish` stores."""
        return {"batch_size": len(claim.items), "batch_seconds": 6.0}

    def finish(self, claim: Claim) -> None:
        """Bring every item of a batch home with a real picture."""
        pictures = {
            unit: put(self.store, Artifact(ArtifactKind.IMAGE, "image/png", picture_of(unit), 24, 24))
            for unit in {work.unit for work in claim.items}
        }
        finished = [
            Finished(
                digest=work.digest,
                activation=1.0 + work.seed,
                score=1.0 - abs(work.seed - 10_001),
                predictions=[(work.unit, 0.75), (1, 0.125)],
                artifacts=[pictures[work.unit]],
                crop_box=None,
                provenance={"worker": "test-worker", "lease": claim.lease_id, **self.told_of(claim)},
            )
            for work in claim.items
        ]
        with self.database.session() as session:
            assert len(batches.conclude(session, claim.lease_id, finished=finished)) == len(finished)

    def fail(self, claim: Claim, message: str) -> None:
        """End every item of a batch with an error."""
        failures = [Failure(work.digest, "broken", message, retryable=False) for work in claim.items]
        with self.database.session() as session:
            batches.conclude(session, claim.lease_id, failures=failures)

    def work(self, limit: int = 64) -> None:
        """Claim and finish one batch."""
        self.finish(self.claim(limit))

    def inspect(self, network: str) -> None:
        """Do what a worker does for a network that was registered."""
        with self.database.session() as session:
            claim = claim_inspection(session, "test-worker", lease_seconds=60)
            assert claim is not None
            assert claim.network.id == network
            record_inspection(
                session,
                network,
                weights_sha256="a" * 64,
                preprocessing={"size": 224},
                labels=LABELS,
                layers=LAYERS,
                lease_id=claim.lease_id,
            )


@pytest.fixture(scope="session")
def served(servers: Servers, migrated_template: str) -> Iterator[Flask]:
    with own_settings(servers, migrated_template) as settings:
        served = create_app(settings)
        context(served).store.ensure_bucket()
        yield served
        context(served).close()


@contextmanager
def serving(application: Flask) -> Iterator[str]:
    """The address at which it is served."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def url(served: Flask) -> Iterator[str]:
    with serving(served) as url:
        yield url


@pytest.fixture
def service(served: Flask, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    # No worker runs that would end what a busy machine does not get done within a request.
    monkeypatch.setattr(waiting, "AT_ONCE_SECONDS", 60.0)
    database, store = context(served).database, context(served).store
    with database.session() as session:
        empty(session)
        register_network(session, RegisterNetwork(id=NETWORK))
        generators.register_generator(
            session,
            "small",
            {"architecture": "compact", "code_shape": [16], "image_size": 24, "encoder": NETWORK},
            "b" * 64,
            default=True,
        )
        _, key = keys.create_key(session, "a test", ["read", "jobs:write"])
    service = Service(url, key, database, store, context(served).settings)
    service.inspect(NETWORK)
    # The commands run in this process and own its output: the server's log must not get into it.
    with capture_logs():
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[imago.Client]:
    with imago.Client(service.url, service.key) as client:
        yield client


Run = Callable[..., Result]


@pytest.fixture
def command_environment(service: Service, tmp_path: Path) -> dict[str, str]:
    """The environment of someone who has set the address and the key."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CLIENT),
        "PYTHONUTF8": "1",
        "IMAGO_CONFIG_DIR": str(tmp_path / "config"),
        "IMAGO_URL": service.url,
        "IMAGO_API_KEY": service.key,
    }


@pytest.fixture
def run(command_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command `imago` in an empty folder and see that it ends with the status that is expected."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, expect: int = 0, **changes: str) -> Result:
        done = CliRunner().invoke(app, arguments, env=command_environment | changes)
        assert done.exit_code == expect, f"status {done.exit_code}\n{done.stdout}\n{done.stderr}"
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done

    return run
