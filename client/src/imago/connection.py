"""The server's address and the key: arguments, environment, and the file that `imago login` writes.

An explicit argument wins over IMAGO_URL and IMAGO_API_KEY, these over the stored file, and that over the
address of a server on this machine. A stored key belongs to the address it was stored for and is never sent
to another.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from imago.errors import ImagoError

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Connection:
    """An address, a key, and where each came from (for `imago doctor`)."""

    url: str
    key: str | None
    url_from: str
    key_from: str


def config_file() -> Path:
    """Where `imago login` stores addresses and keys; IMAGO_CONFIG_DIR moves it."""
    folder = os.environ.get("IMAGO_CONFIG_DIR")
    return (
        Path(folder) if folder else platformdirs.user_config_path("imago", appauthor=False)
    ) / "servers.json"


def resolve(url: str | None = None, key: str | None = None) -> Connection:
    """Choose address and key by the order above."""
    stored = _read()
    if url:
        url_from = "argument"
    elif url := os.environ.get("IMAGO_URL"):
        url_from = "IMAGO_URL"
    elif url := stored.default:
        url_from = str(config_file())
    else:
        url, url_from = DEFAULT_URL, "default"
    url = normalize(url)
    # A file with ends of lines of Windows leaves one in the variable.
    if key := (key or "").strip():
        key_from = "argument"
    elif key := os.environ.get("IMAGO_API_KEY", "").strip():
        key_from = "IMAGO_API_KEY"
    elif key := stored.keys.get(url):
        key_from = str(config_file())
    else:
        key, key_from = None, "none"
    return Connection(url, key, url_from, key_from)


def normalize(url: str) -> str:
    """The address without trailing slashes, so that one server has one spelling."""
    return url.strip().rstrip("/")


def remember(url: str, key: str | None) -> Path:
    """Store the key of this address and make it the default. The file is readable by its owner alone."""
    stored = _read()
    keys = {**stored.keys, normalize(url): key}
    _write(_Stored(normalize(url), {address: secret for address, secret in keys.items() if secret}))
    return config_file()


def forget(url: str) -> bool:
    """Remove an address and its key; whether there was one."""
    stored, url = _read(), normalize(url)
    if url != stored.default and url not in stored.keys:
        return False
    default = None if url == stored.default else stored.default
    _write(_Stored(default, {address: key for address, key in stored.keys.items() if address != url}))
    return True


@dataclass(frozen=True)
class _Stored:
    default: str | None
    keys: dict[str, str]


def _read() -> _Stored:
    path = config_file()
    try:
        body = json.loads(path.read_text())
        return _Stored(
            body["default"], {url: server["key"].strip() for url, server in body["servers"].items()}
        )
    except FileNotFoundError:
        return _Stored(None, {})
    except OSError as error:
        raise ImagoError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImagoError(f"{path} is not what `imago login` writes; remove it and log in again.") from error


def _write(stored: _Stored) -> None:
    path = config_file()
    body = {"default": stored.default, "servers": {url: {"key": key} for url, key in stored.keys.items()}}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # Created with its final mode: a chmod afterwards would leave the key readable for a moment.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(body, file, indent=2)
                file.write("\n")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ImagoError(f"Cannot write {path}: {error.strerror}.") from error
