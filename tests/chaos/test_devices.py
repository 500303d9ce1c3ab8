"""Several devices in one machine: one command starts a worker for each and keeps them."""

import signal

import pytest
from sqlalchemy import text

from tests.worker_processes import Scene, WorkerProcess, loaded, until


def _children(command: WorkerProcess) -> list[int]:
    """The processes that compute."""
    return [process.pid for process in command.family() if loaded(process, "libtorch")]


def _seen(scene: Scene, state: str = "running") -> int:
    return scene.count(f"SELECT count(*) FROM workers WHERE state = '{state}'")


@pytest.mark.thorough
def test_one_command_keeps_a_worker_for_each_device_and_ends_them(scene: Scene) -> None:
    command = scene.start_worker(IMAGO_DEVICE="cpu:0,cpu:1", IMAGO_THREADS="1")
    until(lambda: _seen(scene) == 2, "a worker for each device is seen")
    until(lambda: len(_children(command)) == 2, "each computes in a process of its own")

    job_id = scene.submit("0-3")
    scene.wait_until_ended(job_id)
    assert scene.check(job_id) == {"done": 4}

    # One of the two workers dies as a whole: the other lives, and it is started again.
    _, first, *_ = command.family()
    for process in (first, *first.children(recursive=True)):
        process.send_signal(signal.SIGKILL)
    until(lambda: _seen(scene) == 3, "another worker has taken its place")
    assert command.running

    family = command.family()
    assert command.end() == 0
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]
    assert _seen(scene, "stopped") == 2


@pytest.mark.thorough
def test_a_command_that_is_killed_leaves_no_worker(scene: Scene) -> None:
    command = scene.start_worker(IMAGO_DEVICE="cpu:0,cpu:1", IMAGO_THREADS="1")
    until(lambda: _seen(scene) == 2, "a worker for each device is seen")
    family = command.family()
    command.send(signal.SIGKILL)
    until(
        lambda: not [p for p in family if p.is_running() and p.status() != "zombie"],
        "no process is left",
    )
    with scene.database.session() as session:
        ended = session.execute(text("SELECT count(*) FROM workers WHERE state = 'stopped'")).scalar_one()
    assert ended == 2
