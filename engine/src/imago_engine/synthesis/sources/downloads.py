"""Downloads of weights: whether their server can be reached at all, and what to do where it cannot."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import torch

from imago_engine.synthesis.sources.network_source import OutOfReach

TRIES = 2
ANSWER_SECONDS = 4.0
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
"""Until a server is taken to be out of reach, whatever it is that takes so long: looking up a name knows no
limit of its own."""
_LONGEST_CAUSE = 200


def download_failed(where: str, cause: BaseException) -> OutOfReach:
    """An error that says what could not be fetched, from where, and what to do without network access."""
    return _failed(f" from {where} ({_said(cause)})")


def check_reachable(host: str, ask: Callable[[float], object]) -> None:
    """Raise `OutOfReach` within seconds where a server cannot be reached.

    The libraries that download try for minutes, and some without any limit. `ask(seconds)` asks the server
    for something small by the way that the download will take; any answer will do.
    """
    outcome: list[str] = []

    def attempt() -> None:
        said = ""
        for left in reversed(range(TRIES)):
            try:
                ask(ANSWER_SECONDS)
            except Exception as error:  # each library has its own
                said = _said(error)
                time.sleep(PAUSE_SECONDS if left else 0)
            else:
                said = ""
                break
        outcome.append(said)

    asking = threading.Thread(target=attempt, name="reach", daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    reason = outcome[0] if outcome else "it takes too long"
    if reason:
        raise _failed(f": {host} cannot be reached ({reason})")


def check_downloadable(url: str) -> None:
    """The same for a file that PyTorch keeps among those of its hub: one that is there needs no server."""
    parts = urlsplit(url)
    if (Path(torch.hub.get_dir()) / "checkpoints" / Path(parts.path).name).exists():
        return
    check_reachable(parts.netloc, lambda seconds: _head(url, seconds))


def _head(url: str, seconds: float) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
    except urllib.error.HTTPError as answer:  # it answers, if only that it does not like the question
        answer.close()


def _failed(how: str) -> OutOfReach:
    return OutOfReach(
        f"the weights could not be downloaded{how}. Check this machine's "
        "network access; or load the network once where there is access and copy its cache (TORCH_HOME for "
        "torchvision, HF_HOME for timm); or register a safetensors file of the weights, which needs no "
        "network; or use efficientnet_lite0.imagenet, which needs no download."
    )


def _said(error: BaseException) -> str:
    """What an error of a connection says, in a line without its number."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return (text.partition("] ")[2] if text.startswith("[Errno") else text)[:_LONGEST_CAUSE]
