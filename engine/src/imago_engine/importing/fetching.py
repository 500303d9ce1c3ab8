"""Where a generator comes from: a local file, an https address, or a file of the Hugging Face hub by plain
https.
"""

import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, Protocol

from imago_engine.importing.errors import GeneratorImportError

HUB = "https://huggingface.co"
LIMIT = 1 << 30
"""Bytes. The largest released generator has 225 MB; more than this is some other file."""
CHUNK = 1 << 20
TIMEOUT = 30.0

Progress = Callable[[int, int | None], None]
"""Called with the bytes read so far and, where the server says so, the bytes in all."""


class Response(Protocol):
    headers: Any

    def read(self, size: int, /) -> bytes: ...


Open = Callable[[str], AbstractContextManager[Response]]


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise GeneratorImportError(f"{req.full_url} redirects to {newurl}: only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str) -> AbstractContextManager[Response]:
    """Open an https address; redirects are followed only to https."""
    require_https(url)
    response: AbstractContextManager[Response] = urllib.request.build_opener(_OnlyHttps).open(
        url, timeout=TIMEOUT
    )
    return response


def require_https(url: str) -> None:
    """Raise `GeneratorImportError` unless `url` is an https address with a host."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise GeneratorImportError(f"{url}: only https addresses are fetched (https://HOST/PATH)")


def address_of(source: str) -> str | None:
    """The https address that `source` means, or None where it is a local path.

    `hf:OWNER/NAME/FILE` is a file of a hub repository's main branch, `hf:OWNER/NAME@REVISION/FILE` of another
    revision.
    """
    if source.startswith("hf:"):
        parts = source[3:].split("/", 2)
        if len(parts) < 3 or not all(parts):
            raise GeneratorImportError(
                f"{source}: expected hf:OWNER/NAME/FILE, such as "
                "hf:binxu/DeePSim_DosovitskiyBrox2016/upconvGAN_fc6.pt"
            )
        owner, name, file = parts
        name, _, revision = name.partition("@")
        quoted = [urllib.parse.quote(part, safe="") for part in (owner, name, revision or "main")]
        return f"{HUB}/{quoted[0]}/{quoted[1]}/resolve/{quoted[2]}/{urllib.parse.quote(file)}"
    if "://" in source:
        require_https(source)
        return source
    return None


@contextmanager
def fetched(
    source: str, *, open_url: Open = open_https, limit: int = LIMIT, on_progress: Progress | None = None
) -> Iterator[Path]:
    """A local path of `source` for the length of the `with` block; downloads go to a temporary file that is
    removed after it.

    Raises `GeneratorImportError` for what does not exist, is no https address, is larger than `limit` bytes
    or arrives cut off.
    """
    address = address_of(source)
    if address is None:
        path = Path(source)
        if not path.is_file():
            raise GeneratorImportError(
                f"{source}: no such file; expected a file, an https address or hf:OWNER/NAME/FILE"
            )
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="imago-import-") as folder:
        name = Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name or "download"
        path = Path(folder) / name
        try:
            with open_url(address) as response, path.open("wb") as out:
                _copy(response, out, address, limit, on_progress)
        except (urllib.error.URLError, HTTPException, OSError) as error:
            raise GeneratorImportError(f"{address} could not be fetched: {error}") from error
        yield path


def _copy(response: Response, out: IO[bytes], address: str, limit: int, on_progress: Progress | None) -> None:
    announced = response.headers.get("Content-Length")
    total = int(announced) if announced is not None and announced.isdigit() else None
    if total is not None and total > limit:
        raise GeneratorImportError(f"{address} has {total:,} bytes, more than the limit of {limit:,}")
    done = 0
    while chunk := response.read(CHUNK):
        done += len(chunk)
        if done > limit:
            raise GeneratorImportError(f"{address} has more than the limit of {limit:,} bytes")
        out.write(chunk)
        if on_progress is not None:
            on_progress(done, total)
    if total is not None and done != total:
        raise GeneratorImportError(f"{address} arrived cut off: expected {total:,} bytes, got {done:,}")
