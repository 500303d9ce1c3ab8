"""Scans and exemplars from Python and from the command line, against the API itself."""

import json
import threading
import time
from pathlib import Path

import imago
from tests.client.conftest import NETWORK, Run, Service
from tests.found_exemplars import CROPS, claim, find_exemplars, waits_for

UNIT = f"{NETWORK}/classifier/2"


def find(service: Service) -> None:
    find_exemplars(service.database, service.store, "classifier", range(5))


def test_a_scan_is_submitted_watched_and_read(client: imago.Client, service: Service) -> None:
    scan = client.scan_pictures(NETWORK, ["photographs"], layers="classifier", exemplars=2)
    assert (scan.state, scan.network, scan.layers, scan.phase) == ("queued", NETWORK, ("classifier",), None)
    find(service)
    assert scan.wait(timeout=60).state == "succeeded"
    assert (scan.pictures, scan.crops, scan.left_out, scan.error) == (50, 10, 0, None)
    assert [each.id for each in client.scans(network=NETWORK)] == [scan.id]
    assert client.scans(state="failed") == []
    unit = client.unit(UNIT)
    strongest, second = unit.exemplars()
    assert (strongest.rank, strongest.activation, strongest.picture) == (0, 20.0, "birds/0.jpg")
    assert (strongest.box, second.box) == ((0, 1, 16, 17), None)
    assert [each.image_bytes() for each in (strongest, second)] == list(CROPS)
    assert unit.statistics is not None
    assert (unit.statistics.pictures, unit.statistics.strongest_place[-1]) == (50, (1.0, 20.0))
    client.remove_scan(scan.id)
    assert client.unit(UNIT).statistics is None


def test_pictures_of_an_earlier_scan_are_those_that_it_found(client: imago.Client, service: Service) -> None:
    def crops_of(*crops: bytes) -> tuple[imago.Scan, list[bytes]]:
        scan = client.scan_pictures(NETWORK, ["photographs"], layers="classifier", exemplars=2)
        find_exemplars(service.database, service.store, "classifier", range(2), (crops[0], crops[1]))
        return scan, list(crops)

    earlier, its = crops_of(b"one", b"another one")
    newest, theirs = crops_of(b"three", b"the last")
    unit = client.unit(f"{NETWORK}/classifier/1")
    assert [found.image_bytes() for found in unit.exemplars(scan=earlier.id)] == its
    assert [found.image_bytes() for found in unit.exemplars(scan=newest.id)] == theirs
    assert [found.image_bytes() for found in unit.exemplars()] == theirs


def test_that_no_unit_is_dead_is_said_only_where_something_was_scanned(
    client: imago.Client, service: Service, run: Run
) -> None:
    assert (
        f"No real pictures were scanned: imago exemplars {NETWORK}"
        in run("search", "dead", "--network", NETWORK).stderr
    )
    client.scan_pictures(NETWORK, ["photographs"], layers="classifier", exemplars=2)
    find(service)
    assert "scanned" not in run("search", "dead", "--network", NETWORK).stderr


def test_a_scan_is_canceled(client: imago.Client) -> None:
    scan = client.scan_pictures(NETWORK, ["photographs"], layers="classifier")
    assert scan.cancel().state == "canceled"


def test_the_command_finds_exemplars_and_shows_those_of_a_unit(
    run: Run, service: Service, tmp_path: Path
) -> None:
    submitted = run("exemplars", NETWORK, "photographs", "--layers", "classifier", "--json")
    id = json.loads(submitted.stdout)["id"]
    assert "imago exemplars" in run("unit", UNIT).output
    find(service)
    assert "succeeded, 50 pictures" in run("scan", id, "--watch").output
    assert id in run("scans").output
    shown = run("unit", UNIT, "--out", str(tmp_path / "unit"))
    assert "Of 50 real pictures 50.0% excite it anywhere." in shown.output
    assert "1. 20 birds/0.jpg" in shown.output
    assert (tmp_path / "unit" / "exemplar-1.webp").read_bytes() == CROPS[1]
    run("delete", id)
    run("scan", id, expect=3)


def test_the_commands_say_what_a_scan_waits_for(run: Run, client: imago.Client, service: Service) -> None:
    scan = client.scan_pictures(NETWORK, ["photographs"], layers="classifier")
    waits_for(service.database, claim(service.database), "The disk [of a worker]\nis full.")
    assert scan.refresh().error == "The disk [of a worker]\nis full."
    shown = run("scan", scan.id)
    assert "running, 0 pictures" in shown.stdout
    assert "The disk [of a worker]" in shown.stderr

    def go_on() -> None:
        time.sleep(1.0)
        find(service)

    worker = threading.Thread(target=go_on)
    worker.start()
    watched = run("scan", scan.id, "--watch")
    worker.join()
    first, *_, last = watched.stdout.splitlines()
    assert first.endswith("running, 0 pictures, waits: The disk [of a worker] is full.")
    assert "succeeded, 50 pictures" in last
    assert "full" not in last
    assert "full" not in watched.stderr


def test_a_canceled_scan_fails_the_command_and_a_wrong_source_is_refused(run: Run, service: Service) -> None:
    id = json.loads(run("exemplars", NETWORK, "photographs", "--layers", "classifier", "--json").stdout)["id"]
    claim(service.database)
    assert "canceled" in run("scan", id, "--cancel", "--watch", expect=1).output
    run("exemplars", NETWORK, "../secrets", expect=2)
