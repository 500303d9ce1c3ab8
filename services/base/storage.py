"""The client of the object store (S3). An object is named by the SHA-256 of its bytes, and never changes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.handlers import add_expect_header

from imago_engine.artifacts import ArtifactKind
from services.base.errors import ImagoError, NotFound, Unavailable
from services.base.object_keys import generator_key, key_of, sha256_of_file, sha256_of_key, training_key
from services.base.settings import Settings
from services.base.store_errors import WHAT, translated

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ResponseMetadataTypeDef

__all__ = [
    "PROBES",
    "Corrupt",
    "Listed",
    "ObjectHead",
    "ObjectStore",
    "ObjectStream",
    "Upload",
    "generator_key",
    "key_of",
    "sha256_of_file",
    "sha256_of_key",
    "training_key",
]

_CHUNK = 64 * 1024
_HELD_IN_MEMORY = 1024 * 1024
_MAX_PRESIGN_SECONDS = 900
PROBES = "probes/"
"""Below this lies what only shows that writing works."""
_PROBE = f"{PROBES}store"
_SESSION = boto3.session.Session()
"""Of the whole process: each session reads descriptions of all of Amazon's services, some 0.1 s of processor
time. Clients may be used by several threads, but only one at a time may make one (boto3#1592)."""
_CONNECTING = Lock()


class Corrupt(ImagoError):
    """An object's bytes are not those that its key names."""


@dataclass(frozen=True)
class ObjectHead:
    """What is known of an object without its bytes; `size` in bytes."""

    key: str
    size: int
    content_type: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it: `size` in bytes, `modified` by the store's clock."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Upload:
    """An upload in parts that has not ended; `began` by the store's clock."""

    key: str
    id: str
    began: datetime


class ObjectStream:
    """An open object: iterate over its bytes once, in chunks, and close it, or use it in a `with`."""

    def __init__(self, head: ObjectHead, body: "StreamingBody") -> None:
        self.head = head
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        """Raises `Unavailable` when the store breaks off."""
        with translated(self.head.key):
            yield from self._body.iter_chunks(_CHUNK)

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()

    def __enter__(self) -> "ObjectStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ObjectStore:
    """One bucket of an S3 store. Threads may share it; processes make their own.

    Every method raises `Unavailable` when the store does not answer after all tries.
    """

    def __init__(self, settings: Settings, *, read_timeout: float = 20, attempts: int = 3) -> None:
        """`read_timeout`: seconds without a byte after which an attempt is given up."""
        self._settings = settings
        self._bucket = settings.s3_bucket
        self._client = self._connect(settings.s3_endpoint_url, read_timeout=read_timeout, attempts=attempts)

    @cached_property
    def _prober(self) -> "S3Client":
        # Whoever probes wants to know soon, and asks again.
        return self._connect(self._settings.s3_endpoint_url, connect_timeout=2, read_timeout=5, attempts=1)

    @cached_property
    def _signer(self) -> "S3Client":
        # Signed for the address that clients use: the host is part of what is signed.
        return self._connect(self._settings.s3_public_endpoint_url or self._settings.s3_endpoint_url)

    def _connect(
        self, endpoint: str, *, connect_timeout: float = 3, read_timeout: float = 20, attempts: int = 3
    ) -> "S3Client":
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            # Stores other than Amazon's refuse the checksums that boto3 adds by default (s3transfer#327).
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=32,
            # A proxy of the environment would look for them on its own machine.
            proxies={} if _on_this_machine(endpoint) else None,
        )
        with _CONNECTING:
            client = _SESSION.client(
                "s3",
                endpoint_url=endpoint,
                region_name=self._settings.s3_region,
                aws_access_key_id=self._settings.s3_access_key,
                aws_secret_access_key=self._settings.s3_secret_key.get_secret_value(),
                config=config,
            )
        # With it botocore waits for "100 Continue" before it sends a body, and reads on for ever, at full
        # speed, where a connection ends in the midst of that answer (AWSConnection._consume_headers).
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client

    def put(self, kind: ArtifactKind, data: bytes, content_type: str) -> str:
        """Store bytes; returns their key, `objects/ab/ab….png`. The same bytes again change nothing."""
        key = key_of(kind, data)
        self.put_under(key, data, content_type)
        return key

    def put_under(self, key: str, data: bytes, content_type: str) -> None:
        """Store bytes; `key` must end in their SHA-256."""
        with translated(key):
            put = self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=content_type)
            _ = put["ETag"]  # without it the answer is not whole, and proves nothing

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Store a file, in parts where it is large. `key` must end in the SHA-256 of its bytes: see
        `generator_key`."""
        with translated(key):
            self._client.upload_file(str(path), self._bucket, key, ExtraArgs={"ContentType": content_type})
        try:
            stored = self.head(key).size
        except NotFound:
            stored = None
        if stored != path.stat().st_size:
            raise Unavailable(WHAT, f"It does not have the whole of {key}.")

    def fetch(self, key: str, path: Path) -> None:
        """Write an object to `path`, all of it or nothing. Raises `NotFound`, or `Corrupt` when its bytes are
        not those that the key names."""
        hashed = hashlib.sha256()
        with self.stream(key) as stream:
            handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    for chunk in stream:
                        hashed.update(chunk)
                        file.write(chunk)
                if hashed.hexdigest() != sha256_of_key(key):
                    raise Corrupt(f"The object {key} has the sha256 {hashed.hexdigest()}.")
                os.replace(unfinished, path)
            finally:
                Path(unfinished).unlink(missing_ok=True)

    def verified(self, key: str) -> IO[bytes]:
        """An open file that holds all bytes of an object, checked against its key; close it.

        It lies in memory up to 1 MiB, beyond that in a temporary file. What is missing or wrong is read once
        more before that is believed. Raises `NotFound` or `Corrupt`.
        """
        try:
            return self._read_and_check(key)
        except (NotFound, Corrupt):
            return self._read_and_check(key)

    def _read_and_check(self, key: str) -> IO[bytes]:
        wanted, hashed = sha256_of_key(key), hashlib.sha256()
        file = tempfile.SpooledTemporaryFile(_HELD_IN_MEMORY)  # noqa: SIM115 (the caller closes it)
        try:
            with self.stream(key) as stream:
                for chunk in stream:
                    hashed.update(chunk)
                    file.write(chunk)
            if hashed.hexdigest() != wanted:
                raise Corrupt(f"The object {key} has the sha256 {hashed.hexdigest()}.")
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def delete(self, key: str) -> None:
        """Remove an object. One that is not there is no error."""
        with translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        with translated(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def list(self, prefix: str, after: str | None, limit: int) -> tuple[Sequence[Listed], datetime]:
        """Up to `limit` objects (1000 at most) whose keys begin with `prefix` and come after `after`, by key;
        and what time it is by the store's clock."""
        with translated(prefix):
            answer = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after or "", MaxKeys=limit
            )
            found = [
                Listed(entry["Key"], entry["Size"], entry["LastModified"])
                for entry in answer.get("Contents", [])
            ]
            return found, _time_of(answer["ResponseMetadata"])

    def uploads(self, prefix: str) -> tuple[Sequence[Upload], datetime]:
        """Up to 1000 uploads in parts, to keys that begin with `prefix`, that have not ended; and what time
        it is by the store's clock. What they have brought takes room, and no listing of objects shows it."""
        with translated(prefix):
            answer = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, MaxUploads=1000)
            found = [
                Upload(entry["Key"], entry["UploadId"], entry["Initiated"])
                for entry in answer.get("Uploads", [])
            ]
            return found, _time_of(answer["ResponseMetadata"])

    def abort(self, upload: Upload) -> None:
        """End an upload, and forget what it has brought. One that has ended is no error."""
        with suppress(NotFound), translated(upload.key):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.id)

    def age_seconds(self, key: str) -> float:
        """How long ago an object was put last, by the store's clock. Raises `NotFound`."""
        with translated(key):
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            return (_time_of(found["ResponseMetadata"]) - found["LastModified"]) / timedelta(seconds=1)

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            self.head(key)
        except NotFound:
            return False
        return True

    def get(self, key: str) -> bytes:
        """All bytes of an object. Raises `NotFound`."""
        with self.stream(key) as stream:
            return b"".join(stream)

    def stream(self, key: str) -> ObjectStream:
        """Open an object; it exists and its head is known once this returns. Raises `NotFound`."""
        with translated(key):
            found = self._client.get_object(Bucket=self._bucket, Key=key)
            return ObjectStream(ObjectHead(key, found["ContentLength"], found["ContentType"]), found["Body"])

    def head(self, key: str) -> ObjectHead:
        """Raises `NotFound`."""
        with translated(key):
            found = self._client.head_object(Bucket=self._bucket, Key=key)
            return ObjectHead(key, found["ContentLength"], found["ContentType"])

    def presigned_get(self, key: str, seconds: int = 300) -> str:
        """An address from which anyone can read the object for that long, 900 s at most. Asks nobody."""
        if not 0 < seconds <= _MAX_PRESIGN_SECONDS:
            raise ValueError(f"seconds must be between 1 and {_MAX_PRESIGN_SECONDS}, got {seconds}")
        parameters = {"Bucket": self._bucket, "Key": key}
        return self._signer.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)

    def ensure_bucket(self) -> None:
        """Make the bucket unless it is there."""
        if self._has_bucket():
            return
        there_already = self._client.exceptions
        # Another process may be quicker.
        with (
            translated(self._bucket),
            suppress(there_already.BucketAlreadyOwnedByYou, there_already.BucketAlreadyExists),
        ):
            self._client.create_bucket(Bucket=self._bucket)

    def ping(self) -> None:
        """Return when the store answers and has the bucket."""
        if not self._has_bucket():
            raise Unavailable(WHAT, f"It has no bucket {self._bucket!r}.")

    def probe(self, *, write: bool = False) -> None:
        """Return when the store answers, and takes a small object if `write`: soon, or not at all.

        Raises `Unavailable`: `ClockOff` where it refuses because of the time, `Refused` for other reasons.
        """
        with translated(_PROBE):
            if write:
                _ = self._prober.put_object(Bucket=self._bucket, Key=_PROBE, Body=b"?")["ETag"]
            else:  # not HEAD, whose refusal gives no reason
                self._prober.list_objects_v2(Bucket=self._bucket, Prefix=_PROBE, MaxKeys=1)

    def _has_bucket(self) -> bool:
        try:
            with translated(self._bucket):
                self._client.head_bucket(Bucket=self._bucket)
        except NotFound:
            return False
        return True


def _on_this_machine(address: str) -> bool:
    """Whether an address is of this machine's own (loopback)."""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _time_of(answer: "ResponseMetadataTypeDef") -> datetime:
    return parsedate_to_datetime(answer["HTTPHeaders"]["date"])
