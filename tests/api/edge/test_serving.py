"""The server itself, as `python -m api` starts it."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.api_process import ApiProcess


def api_of(environment: dict[str, str], folder: Path, port: int | None = None) -> ApiProcess:
    """Two processes, beside the one that keeps them; temporary files are in the folder."""
    return ApiProcess({"TMPDIR": str(folder), **environment}, "--workers", "2", "--threads", "4", port=port)


@pytest.fixture
def api(environment: dict[str, str], tmp_path: Path) -> Iterator[ApiProcess]:
    api = api_of(environment, tmp_path)
    try:
        api.start()
        yield api
    finally:
        api.kill()


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def test_two_processes_count_together_and_end_in_good_order(api: ApiProcess, tmp_path: Path) -> None:
    for _ in range(20):
        read(f"{api.url}/v1/techniques")
    counted = 'imago_http_requests_total{method="GET",route="/v1/techniques",status="200"} 20.0'
    assert counted in read(f"{api.url}/metrics")
    assert list(tmp_path.iterdir()) != []
    api.stop()
    assert list(tmp_path.iterdir()) == []


def test_processes_whose_parent_is_killed_end_leave_nothing_and_the_port_to_the_next(
    api: ApiProcess, environment: dict[str, str], tmp_path: Path
) -> None:
    children = psutil.Process(api.process.pid).children()
    assert len(children) >= 2
    api.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    assert list(tmp_path.iterdir()) == []

    successor = api_of(environment, tmp_path, api.port)
    try:
        successor.start()
        successor.stop()
    finally:
        successor.kill()
