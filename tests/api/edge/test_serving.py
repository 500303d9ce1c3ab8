"""The server itself, as `python -m api` starts it."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(port, environment, tmp_path)
    url = f"http://127.0.0.1:{port}"
    try:
        _until_it_answers(url, process)
        yield url, process
    finally:
        process.kill()
        process.wait()


def start(port: int, environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """A server of two processes, beside the one that keeps them; temporary files are in the folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "api", "--port", str(port), "--workers", "2", "--threads", "4"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), **environment},
    )


def _until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended"
        try:
            read(f"{url}/healthz")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise AssertionError("the server does not answer")


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def test_two_processes_count_together_and_end_in_good_order(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, process = server
    for _ in range(20):
        read(f"{url}/v1/techniques")
    counted = 'imago_http_requests_total{method="GET",route="/v1/techniques",status="200"} 20.0'
    assert counted in read(f"{url}/metrics")
    assert list(tmp_path.iterdir()) != []
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []


def test_processes_whose_parent_is_killed_end_leave_nothing_and_the_port_to_the_next(
    server: tuple[str, subprocess.Popen[bytes]], environment: dict[str, str], tmp_path: Path
) -> None:
    url, process = server
    children = psutil.Process(process.pid).children()
    assert len(children) >= 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    assert list(tmp_path.iterdir()) == []

    port = urlsplit(url).port
    assert port is not None
    successor = start(port, environment, tmp_path)
    try:
        _until_it_answers(url, successor)
    finally:
        successor.terminate()
        assert successor.wait(timeout=60) == 0
