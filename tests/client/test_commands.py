"""The command line against the API over HTTP; in a terminal and in a pipe it runs as a process of its own."""

import io
import itertools
import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from PIL import Image
from rich.progress_bar import ProgressBar

import imago
from imago.cli.watching import bar
from services.access import keys
from services.queue import workers
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
    told = [line.split(" ", 2)[2].split(", ")[:2] for line in shown[:-1]]  # the state and what is done
    assert all(before != after for before, after in itertools.pairwise(told)), shown


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
    run: Run, client: imago.Client, service: Service
) -> None:
    client.add_network("resnet18.IMAGENET1K_V1")

    def inspect() -> None:
        time.sleep(1)
        service.inspect("resnet18.IMAGENET1K_V1")

    worker = threading.Thread(target=inspect)
    worker.start()
    done = run("submit", "resnet18.IMAGENET1K_V1/output/0")
    worker.join()
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
            sa.text("SELECT image_object FROM visualizations WHERE digest = :digest"), {"digest": digest}
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


def test_lists_are_tables_for_people_and_json_for_programs(run: Run, client: imago.Client) -> None:
    job = client.submit(NETWORK, ["output/0"])
    assert f"{NETWORK}  ready" in run("networks").stdout
    assert "blocks.3    block   80     14×14  100 px" in run("layers", NETWORK).stdout
    assert job.id in run("jobs").stdout
    assert "steps" in run("techniques").stdout
    assert "small" in run("generators").stdout
    assert "interactive  1" in run("queue").stdout
    assert [entry["id"] for entry in read(run("networks", "--json").stdout)["data"]] == [NETWORK]
    assert [entry["name"] for entry in read(run("--json", "layers", NETWORK).stdout)["data"]] == [
        "blocks.3",
        "classifier",
    ]
    assert [entry["id"] for entry in read(run("jobs", "--json", "--state", "queued").stdout)["data"]] == [
        job.id
    ]
    assert read(run("job", job.id, "--json").stdout)["progress"]["units"]["queued"] == 1
    assert read(run("queue", "--json").stdout)["object"] == "queue"
    assert read(run("cancel", job.id, "--json").stdout)["state"] == "canceled"


def test_a_queue_in_which_nothing_waits_has_no_time_left(run: Run, client: imago.Client) -> None:
    assert " left" not in run("queue").stdout


def test_what_is_stated_of_a_network_is_sent(run: Run, client: imago.Client, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo words\n")
    added = run(
        *("networks", "add", "own.v1", "--architecture", "timm:resnet18", "--weights", "w.safetensors"),
        *("--labels", str(tmp_path / "names.txt"), "--mean", "0.5,0.5,0.25", "--std", "1,1,0.5"),
        *("--input-size", "64", "--channels", "bgr", "--json"),
    )
    assert read(added.stdout)["state"] == "pending"
    again = client.add_network(
        "own.v1",
        architecture="timm:resnet18",
        weights="w.safetensors",
        labels=["one", "two words"],
        mean=[0.5, 0.5, 0.25],
        std=[1, 1, 0.5],
        input_size=64,
        channels="bgr",
    )
    assert again.awaits_inspection  # the same once more is no conflict


def test_what_states_nothing_readable_is_named(run: Run, tmp_path: Path) -> None:
    assert "three numbers" in run("networks", "add", "own.v1", "--mean", "0.5", expect=2).stderr
    (tmp_path / "names.json").write_text('["a", 3]')
    wrong = run("networks", "add", "own.v1", "--labels", str(tmp_path / "names.json"), expect=2)
    assert "more than strings" in wrong.stderr


def test_a_network_is_added_and_waited_for(
    run: Run, service: Service, command_environment: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "imago", "networks", "add", "resnet18.IMAGENET1K_V1", "--wait"],
        env=command_environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as added:
        try:
            assert added.stderr is not None
            assert "Waiting for a worker" in added.stderr.readline()
            service.inspect("resnet18.IMAGENET1K_V1")
            out, _ = added.communicate(timeout=60)
        finally:
            added.kill()
    assert added.returncode == 0
    assert out == "resnet18.IMAGENET1K_V1 is ready\n"


def test_what_nothing_needs_is_removed(run: Run, client: imago.Client, service: Service) -> None:
    job = client.submit(NETWORK, ["output/0"])
    assert "cancel it first" in run("delete", job.id, expect=1).stderr
    job.cancel()
    assert run("delete", job.id).stdout == f"{job.id} is removed.\n"
    client.add_network("resnet18.IMAGENET1K_V1")
    assert "is removed" in run("networks", "remove", "resnet18.IMAGENET1K_V1").stdout
    assert [network.id for network in client.networks()] == [NETWORK]
    # Those that the operator registered are not this key's to remove.
    assert "admin" in run("networks", "remove", NETWORK, expect=4).stderr
    assert "admin" in run("delete", "small", expect=4).stderr
    assert "There is no job" in run("delete", job.id, "--json", expect=3).stderr


def test_each_kind_of_error_has_its_exit_status_and_a_sentence(run: Run, service: Service) -> None:
    assert "NETWORK/LAYER/UNITS" in run("submit", "output/3", expect=2).stderr
    assert f"{NETWORK}/output/999-1000: " in run("submit", f"{NETWORK}/output/999-1000", expect=2).stderr
    assert "steps" in run("submit", f"{NETWORK}/output/0", "--steps", "0", expect=2).stderr
    assert "no-such-option" in run("submit", "--no-such-option", expect=2).stderr
    assert "job_missing" in run("job", "job_missing", expect=3).stderr
    assert "imago_" in run("submit", f"{NETWORK}/output/0", expect=4, IMAGO_API_KEY="imago_wrong").stderr
    assert "Connection refused" in run("networks", expect=5, IMAGO_URL="http://127.0.0.1:1").stderr
    assert "http://HOST:PORT" in run("networks", expect=1, IMAGO_URL="nowhere").stderr


def test_errors_for_programs_are_json_on_stderr(run: Run) -> None:
    done = run("submit", f"{NETWORK}/output/1000", "--json", expect=2)
    error = read(done.stderr)["error"]
    assert done.stdout == ""
    assert (error["exit_code"], error["status"]) == (2, 422)
    assert [wrong["pointer"] for wrong in error["errors"]] == ["/targets/0/units"]


def test_a_login_is_kept_for_its_owner_alone(run: Run, service: Service, tmp_path: Path) -> None:
    bare = {"IMAGO_URL": "", "IMAGO_API_KEY": ""}
    assert "as a test" in run("login", service.url, "--key", service.key, **bare).stdout
    assert "as a test" in run("--key", service.key, "login", service.url, **bare).stdout
    (kept,) = (tmp_path / "config").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "queued" in run("submit", f"{NETWORK}/output/0", **bare).stdout
    assert "forgotten" in run("logout", **bare).stdout
    assert service.key not in kept.read_text()


def test_a_login_with_a_wrong_key_stores_nothing(run: Run, service: Service, tmp_path: Path) -> None:
    run("--key", "imago_wrong", "login", service.url, expect=4)
    assert not (tmp_path / "config").exists()


def test_the_doctor_finds_what_is_wrong(run: Run, service: Service) -> None:
    report = read(run("doctor", "--json").stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert report["healthy"]
    assert verdicts == {
        "client": "ok",
        "address": "ok",
        "server": "ok",
        "readiness": "ok",
        "key": "ok",
        "workers": "warning",
        "networks": "ok",
    }
    with service.database.session() as session:
        workers.register(session, "vm-1", host="vm", device="cpu")
        workers.seen(session, "vm-1", reason="The object store does not answer.")
    said = run("doctor").stdout
    assert "1 alive" in said
    assert "worker vm-1: waiting: The object store does not answer." in said
    with service.database.session() as session:
        keys.revoke_key(session, service.key.split("_")[1])
    assert "revoked" in run("doctor", expect=4).stdout
    assert "Cannot reach" in run("doctor", expect=5, IMAGO_URL="http://127.0.0.1:1").stdout
    assert "not as imago does" in run("doctor", expect=5, IMAGO_URL=f"{service.url}/v1").stdout


def test_a_reader_that_goes_away_is_no_error(command_environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m imago techniques | head -n 1",
        shell=True,
        env=command_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "dgn-am\n"
    assert "Traceback" not in done.stderr


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
