"""The command line against the API over HTTP; in a terminal and in a pipe it runs as a process of its own."""

import io
import itertools
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image
from rich.progress_bar import ProgressBar

import imago
from imago.cli.watching import bar
from tests.client.conftest import NETWORK, Run, Service, picture_of


def read(text: str) -> Any:
    return json.loads(text)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_submitting_prints_the_job_and_how_to_watch_it(run: Run, client: imago.Client) -> None:
    done = run(
        "submit",
        f"{NETWORK}/output/0-11,207",
        f"{NETWORK}/blocks.3/5@3,4",
        "--seeds",
        "0-1",
        "-p",
        "jitter=4",
    )
    (job,) = client.jobs()
    assert done.stdout.startswith(f"{job.id} queued, 0 of 28")
    assert f"imago job {job.id} --watch" in done.stderr
    assert job.raw["request"]["recipe"]["parameters"]["jitter"] == 4
    assert {tuple(item.position or ()) for item in job.items() if item.layer == "blocks.3"} == {(3, 4)}


def test_a_token_is_asked_for_shown_and_saved_under_its_number(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    run("submit", f"{NETWORK}/blocks.7/5@12", f"{NETWORK}/blocks.7/5@0", f"{NETWORK}/blocks.7/5")
    (job,) = client.jobs()
    service.work()
    by_token, usual = sorted(job.items(), key=lambda item: item.token or 0, reverse=True)
    assert (by_token.token, usual.token) == (12, None)
    assert by_token.title == f"{NETWORK}/blocks.7/5@12"
    assert usual.title == f"{NETWORK}/blocks.7/5"
    run("get", job.id, "--out", "pictures")
    names = {path.name.split("__s0")[0] for path in (tmp_path / "pictures").iterdir()}
    assert names == {f"{NETWORK}__blocks.7__00005__t12", f"{NETWORK}__blocks.7__00005"}


def test_watching_prints_one_line_a_change_and_writes_the_pictures(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0-2"])
    service.work()
    done = run("job", job.id, "--watch", "--out", "pictures")
    assert "succeeded, 3 of 3" in done.stdout
    assert done.stdout.splitlines()[-1] == "3 pictures in pictures"
    assert sorted(path.read_bytes() for path in (tmp_path / "pictures").iterdir()) == sorted(
        map(picture_of, range(3))
    )


def test_watching_is_silent_while_nothing_but_the_time_left_changes(
    run: Run, client: imago.Client, service: Service
) -> None:
    job = client.submit(NETWORK, ["output/0-2"])

    def go_on() -> None:
        time.sleep(3)  # several looks at a job that stands still, whose estimates do not
        service.work()

    worker = threading.Thread(target=go_on)
    worker.start()
    shown = run("job", job.id, "--watch").stdout.splitlines()
    worker.join()
    lines = [line.split(" ", 2)[2].split(", ") for line in shown[:-1]]
    told = [[part for part in line if not re.search(r"/s$|/min$| left$", part)] for line in lines]
    assert told, shown
    assert all(before != after for before, after in itertools.pairwise(told)), shown
    assert len(told) <= 6, shown  # queued, running with 0 to 3 of 3, and succeeded


def test_a_bar_is_as_full_as_what_is_done(client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-3"])
    service.finish(service.claim(limit=1))
    service.fail(service.claim(), "broken")
    (drawn,) = (
        cell
        for column in bar(client.job(job.id), 80).columns
        for cell in column.cells
        if isinstance(cell, ProgressBar)
    )
    assert (drawn.completed, drawn.total) == (1, 4)


def test_a_network_that_is_not_inspected_yet_is_waited_for(
    run: Run, client: imago.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add_network("resnet18.IMAGENET1K_V1")
    waiting, worker = imago.Client.wait_for_network, list[threading.Thread]()

    def inspected_meanwhile(waits: imago.Client, network: str) -> imago.Network:
        worker.append(threading.Thread(target=service.inspect, args=[network]))
        worker[0].start()
        return waiting(waits, network)

    monkeypatch.setattr(imago.Client, "wait_for_network", inspected_meanwhile)
    done = run("submit", "resnet18.IMAGENET1K_V1/output/0")
    worker[0].join()
    assert "still to be inspected by a worker" in done.stderr
    assert " queued, 0 of 1" in done.stdout


def test_watching_for_programs_is_one_object_a_line(run: Run, client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-1"])
    service.work()
    done = run("job", job.id, "--watch", "--json", "--out", "pictures")
    events = lines(done.stdout)
    assert [event["event"] for event in events] == ["progress", "visualization", "visualization", "end"]
    assert {Path(event["path"]).parent.name for event in events[1:3]} == {"pictures"}
    assert events[-1]["job"]["state"] == "succeeded"
    assert done.stderr == ""


def test_a_cached_submission_is_answered_at_once(run: Run, service: Service, client: imago.Client) -> None:
    client.submit(NETWORK, ["output/0-1"])
    service.work()
    done = run("submit", f"{NETWORK}/output/0-1", "--watch")
    assert "2 pictures, 2 of them made already" in done.stderr
    assert "2 done, 2 from the cache" in done.stdout


def test_a_job_that_failed_ends_with_1_and_says_why(run: Run, client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/1"])
    service.fail(service.claim(), "the lamp [went] out")
    done = run("job", job.id, "--watch", expect=1)
    assert "failed" in done.stdout
    assert "classifier/1 (goldfish): the lamp [went] out" in done.stderr
    assert f"imago retry {job.id}" in done.stderr
    assert "queued" in run("retry", job.id).stdout


def test_ctrl_c_detaches_and_the_job_goes_on(
    client: imago.Client, service: Service, command_environment: dict[str, str], tmp_path: Path
) -> None:
    shown, text = _watch_in_a_terminal(
        ["submit", f"{NETWORK}/output/0-1", "--watch"],
        command_environment,
        tmp_path,
        interrupt_at="queued, 0 of 2",
    )
    (job,) = client.jobs()
    assert shown == 130
    assert f"Detached; {job.id} goes on." in text
    assert f"imago job {job.id} --watch" in text
    service.work()
    assert job.refresh().state == "succeeded"


def test_a_terminal_shows_a_live_bar(
    client: imago.Client, service: Service, command_environment: dict[str, str], tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0-1"])
    service.work()
    status, text = _watch_in_a_terminal(["job", job.id, "--watch"], command_environment, tmp_path)
    assert status == 0
    assert "━" in text
    assert f"{job.id} succeeded" in text


def test_get_takes_a_job_a_digest_and_units(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0-2"])
    service.work()
    found = list(job.items())
    written = run("get", job.id, "--out", "all").stdout.splitlines()
    assert [Path(path).read_bytes() for path in (tmp_path / name for name in written)] == [
        picture_of(unit) for unit in range(3)
    ]
    run("get", found[1].digest, "-o", "fish.png")
    assert (tmp_path / "fish.png").read_bytes() == picture_of(1)
    listed = read(run("get", f"{NETWORK}/output/0,2", "--json").stdout)["data"]
    assert [(entry["unit"], (tmp_path / entry["path"]).read_bytes()) for entry in listed] == [
        (0, picture_of(0)),
        (2, picture_of(2)),
    ]
    assert len(run("get", f"{NETWORK}/output/all", "-o", "all", expect=1).stdout.splitlines()) == 3


def test_get_takes_the_best_picture_at_the_place_that_is_named(
    run: Run, client: imago.Client, service: Service
) -> None:
    for target in ("blocks.3/7", "blocks.3/7@3,5", "blocks.3/7@3,6", "blocks.7/4@9", "blocks.7/4"):
        client.submit(NETWORK, [target], seeds=[0, 10_001])
        service.work()

    def got(target: str) -> list[Any]:
        data = read(run("get", f"{NETWORK}/{target}", "--json").stdout)["data"]
        return [(picture["seed"], picture["position"], picture["token"]) for picture in data]

    # The best is that of seed 10001, see `Service.finish`.
    assert got("blocks.3/7@3,5") == [(10_001, [3, 5], None)]
    assert got("blocks.3/7@7,7") == got("blocks.3/7") == [(10_001, None, None)]
    assert got("blocks.7/4@9") == [(10_001, None, 9)]
    assert got("blocks.7/4@0") == [(10_001, None, None)]
    assert (
        f"{NETWORK}/blocks.3/7@4,4 has no picture yet"
        in run("get", f"{NETWORK}/blocks.3/7@4,4", expect=3).stderr
    )
    assert "no tokens" in run("get", f"{NETWORK}/blocks.3/7@9", expect=2).stderr
    assert "no map" in run("get", f"{NETWORK}/output/7@1,2", expect=2).stderr


def test_get_makes_a_contact_sheet(run: Run, client: imago.Client, service: Service, tmp_path: Path) -> None:
    job = client.submit(NETWORK, ["output/0-4"])
    service.work()
    assert run("get", job.id, "--grid", "grid.png").stdout == "grid.png\n"
    assert [path.name for path in tmp_path.glob("*.png")] == ["grid.png"]
    sheet = Image.open(io.BytesIO((tmp_path / "grid.png").read_bytes()))
    colours = {sheet.getpixel((x, y)) for x in range(sheet.width) for y in range(sheet.height)}
    assert {(unit, 0, 128) for unit in range(5)} <= colours


def test_get_says_what_is_missing(run: Run, client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0-2"])
    service.work(limit=1)
    left = run("get", job.id, expect=1).stderr
    assert f"Without a picture: {NETWORK}/classifier/1 (goldfish) (queued), " in left
    some = run("get", f"{NETWORK}/output/all", "--out", "some", expect=1)
    assert f"Without a picture: {NETWORK}/output/1-999" in some.stderr
    assert read(run("get", f"{NETWORK}/output/all", "--json", expect=1).stdout)["without"] == [
        f"{NETWORK}/output/1-999"
    ]
    assert "imago submit" in run("get", f"{NETWORK}/output/7", expect=3).stderr
    assert "neither a job" in run("get", "something", expect=2).stderr


def _lose(service: Service, digest: str) -> None:
    """Let the store lack one picture."""
    with service.database.session() as session:
        key = session.scalars(
            sa.text("SELECT object FROM artifacts WHERE digest = :digest"), {"digest": digest}
        ).one()
    service.store.delete(key)


def test_one_lost_picture_keeps_nobody_from_the_others(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0-29"])
    service.work()
    lost = next(item for item in job.items() if item.unit == 2)
    _lose(service, lost.digest)
    got = run("get", job.id, "-o", "got", "--grid", "grid.png", expect=1)
    assert f"Without a picture: {lost.title} (" in got.stderr
    assert "lost" in got.stderr
    assert got.stdout.splitlines()[-1] == "grid.png"
    others = sorted(picture_of(unit) for unit in range(30) if unit != 2)
    assert sorted(path.read_bytes() for path in (tmp_path / "got").iterdir()) == others
    (told,) = read(run("get", job.id, "--grid", "again.png", "--json", expect=1).stdout)["without"]
    assert told.startswith(f"{lost.title} (")
    assert f"Without a picture: {lost.title} (" in run("get", lost.digest, "-o", "p.png", expect=1).stderr
    assert not (tmp_path / "p.png").exists()


def test_watching_writes_all_pictures_but_the_lost_one(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0-29"])
    service.work()
    lost = next(item for item in job.items() if item.unit == 2)
    _lose(service, lost.digest)
    watched = run("job", job.id, "--watch", "--out", "watched", expect=1)
    assert watched.stdout.splitlines()[-1] == "29 pictures in watched"
    assert f"Without a picture: {lost.title} (" in watched.stderr
    events = lines(run("job", job.id, "--watch", "--out", "watched", "--json", expect=1).stdout)
    told = [event for event in events if event["event"] == "visualization"]
    assert len(told) == 30
    assert [event["visualization"]["digest"] for event in told if event["path"] is None] == [lost.digest]
    assert [event["path"] is None for event in told] == ["reason" in event for event in told]
    assert events[-1]["event"] == "end"


def test_a_folder_that_cannot_be_written_ends_the_command_at_once(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0-2"])
    service.work()
    (tmp_path / "taken").write_bytes(b"a file")
    assert "Cannot write taken" in run("get", job.id, "-o", "taken", expect=1).stderr


def test_what_is_written_whole_is_not_fetched_again(
    run: Run, client: imago.Client, service: Service, tmp_path: Path
) -> None:
    job = client.submit(NETWORK, ["output/0"])
    service.work()
    (name,) = run("get", job.id, "-o", "p").stdout.splitlines()
    (tmp_path / name).write_bytes(b"kept")
    run("get", job.id, "-o", "p")
    assert (tmp_path / name).read_bytes() == b"kept"
    assert len(list((tmp_path / "p").iterdir())) == 1


def _watch_in_a_terminal(
    arguments: list[str], environment: dict[str, str], folder: Path, *, interrupt_at: str | None = None
) -> tuple[int, str]:
    """Run the command in a pseudo-terminal; Ctrl-C once it shows `interrupt_at`. (status, what was shown)"""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "imago", *arguments],
        env=environment | {"TERM": "xterm", "COLUMNS": "160", "LINES": "40"},
        cwd=folder,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    shown = ""
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # the other end is closed: the command has ended
                break
            if not chunk:
                break
            shown += chunk.decode(errors="replace")
            if interrupt_at is not None and interrupt_at in shown:
                interrupt_at = None
                process.send_signal(signal.SIGINT)
        return process.wait(timeout=60), shown
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
