"""Atlases in Python and on the command line, against the API over HTTP."""

import io
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import imago
from api.http import waiting
from imago import transport
from tests.api.resources.test_sheets import make_sheets
from tests.client.broken_wire import BrokenWire
from tests.client.conftest import NETWORK, Run, Service
from tests.integration.atlases import building


def carry_out(service: Service, id: str) -> None:
    """Do what workers do for an atlas beside its pictures."""
    building.carry_out(service.database, id)


def built(service: Service, client: imago.Client) -> imago.Atlas:
    """An atlas that is done."""
    atlas = client.atlases.create(NETWORK, layers=["output"], units="0-9")
    carry_out(service, atlas.id)
    service.work()
    return atlas.refresh()


def test_an_atlas_is_created_watched_and_read(
    service: Service, client: imago.Client, tmp_path: object
) -> None:
    atlas = client.atlases.create(NETWORK, layers="output", units="0-9", facets=2, name="Mine")
    assert (atlas.state, atlas.pictures.total, atlas.finished) == ("planning", 20, False)
    assert client.atlases.estimate(NETWORK, layers="output", units="0-9", candidates=8).pictures == 80
    seen: list[str] = []

    def work() -> None:
        carry_out(service, atlas.id)
        service.work()

    worker = threading.Thread(target=work)
    worker.start()
    atlas.wait(lambda now: seen.append(now.state), timeout=60)
    worker.join()
    assert seen[-1] == atlas.state == "complete"
    units = list(atlas.units("classifier"))
    assert [unit.unit for unit in units] == [*range(10)]
    assert (units[1].label, len(units[1].facets)) == ("goldfish", 2)
    assert units[1].visualization(1).seed == 1
    with pytest.raises(KeyError):
        units[1].visualization(2)
    assert [path.exists() for path in units[0].save(str(tmp_path))] == [True, True]
    (layer,) = atlas.layers()
    assert (layer.name, layer.pictures.done) == ("classifier", 20)
    assert "20 of 20 pictures" in atlas._repr_html_()
    assert "Mine" in atlas._repr_html_()


def test_who_publishes_a_large_atlas_waits_until_workers_have(
    service: Service, client: imago.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one is large whose publication takes more than no time."""
    monkeypatch.setattr(waiting, "AT_ONCE_SECONDS", 0.0)
    atlas = built(service, client)
    found: list[Mapping[str, Any]] = []
    publisher = threading.Thread(target=lambda: found.append(atlas.publish()))
    publisher.start()
    while publisher.is_alive():
        carry_out(service, atlas.id)
        publisher.join(0.1)
    (version,) = found
    assert (version["number"], version["published"], version["publishing"]) == (1, True, False)
    assert atlas.latest_version == 1


def test_units_are_read_on_where_an_answer_is_lost_and_are_those_of_one_version(
    service: Service, client: imago.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_PAGE", 4)
    atlas = built(service, client)
    atlas.publish()
    wire = BrokenWire(service.url, lose=2, to=f"GET /v1/atlases/{atlas.id}/versions/1/layers/")
    with wire.carrying(), imago.Client(wire.url, service.key) as broken:
        units = broken.atlases.get(atlas.id).units("output")
        read = [next(units).unit for _ in range(4)]
        atlas.extend(units="10-19")
        carry_out(service, atlas.id)
        service.work()
        atlas.publish()
        assert read + [unit.unit for unit in units] == [*range(10)]
    assert len([*atlas.units("output")]) == 20


def test_units_and_layers_of_a_server_show_themselves_in_notebooks(
    service: Service, client: imago.Client
) -> None:
    atlas = built(service, client)
    assert next(atlas.units("output"))._repr_html_().count("<img") == 1
    (layer,) = atlas.layers()
    assert layer._repr_html_().count("<img") == 10


def test_a_publication_whose_answer_was_lost_makes_one_version(
    service: Service, client: imago.Client
) -> None:
    id = built(service, client).id
    wire = BrokenWire(service.url, lose=1, to="POST")
    with wire.carrying(), imago.Client(wire.url, service.key) as shaky:
        version = shaky.atlases.get(id).publish()
        with pytest.raises(imago.Conflict, match="nothing to publish"):
            shaky.atlases.get(id).publish()
    assert (version["number"], version["published"]) == (1, True)
    assert [each["number"] for each in client.atlases.get(id).versions()] == [2, 1]


@pytest.mark.parametrize("method", ["create", "estimate"])
def test_a_word_that_there_is_not_is_told_by_the_name_of_the_method(
    client: imago.Client, method: str
) -> None:
    with pytest.raises(TypeError, match=rf"\.{method}\(\) got an unexpected keyword argument 'bogus'"):
        getattr(client.atlases, method)(NETWORK, bogus=1)


def test_an_atlas_is_paused_extended_published_and_removed(service: Service, client: imago.Client) -> None:
    atlas = built(service, client)
    assert atlas.publish()["number"] == 1
    assert (atlas.latest_version, atlas.open_version) == (1, 2)
    assert atlas.extend(facets=2).state == "planning"
    assert atlas.pause().state == "paused"
    assert atlas.finished
    assert atlas.resume().state == "planning"
    carry_out(service, atlas.id)
    assert len([*atlas.units("classifier", "open")].pop().facets) == 2
    assert len([*atlas.units("classifier")].pop().facets) == 1
    assert atlas.cancel().state == "canceled"
    assert atlas.change(visibility="public", name="Ours").name == "Ours"
    assert [one.id for one in client.atlases.list(network=NETWORK)] == [atlas.id]
    assert [version["number"] for version in atlas.versions()] == [2, 1]
    atlas.remove()
    with pytest.raises(imago.NotFound):
        client.atlases.get(atlas.id)


def test_a_list_that_is_refused_says_why(service: Service, client: imago.Client) -> None:
    atlas = built(service, client)
    with pytest.raises(imago.NotFound, match="does not show it"):
        list(atlas.units("none"))
    with pytest.raises(imago.InvalidRequest) as refused:
        client.atlases.create(NETWORK, layers="none.*")
    assert [error.pointer for error in refused.value.errors] == ["/layers"]


def test_a_dry_run_says_what_an_atlas_would_take_and_makes_nothing(
    service: Service, run: Run, client: imago.Client
) -> None:
    built(service, client)
    shown = run("build", NETWORK, "--layers", "output", "--units", "0-19", "--dry-run").stdout
    assert "20 pictures, 10 of them made already" in shown
    assert "Adds to the store" in shown
    machine = json.loads(run("build", NETWORK, "-l", "output", "-u", "0-19", "--dry-run", "--json").stdout)
    assert (machine["pictures"], machine["cached"], machine["cached_is"]) == (20, 10, "exact")
    assert len(client.atlases.list()) == 1


def test_a_dry_run_of_an_extension_says_what_it_adds_and_adds_nothing(
    service: Service, run: Run, client: imago.Client
) -> None:
    atlas = built(service, client)
    shown = run("extend", atlas.id, "--facets", "3", "--dry-run").stdout
    assert "20 pictures, 0 of them made already" in shown
    assert atlas.estimate_extension(units="0-14").pictures == 5
    assert (atlas.refresh().state, atlas.pictures.total) == ("complete", 10)


def test_an_extension_of_a_paused_atlas_says_that_it_waits(
    service: Service, run: Run, client: imago.Client
) -> None:
    atlas = client.atlases.create(NETWORK, layers=["output"], units="0-9").pause()
    shown = run("extend", atlas.id, "--facets", "2", "--watch")
    assert "paused, 0 of 20" in shown.stdout
    assert f"imago resume {atlas.id}" in shown.stderr


def test_an_atlas_is_built_and_watched_on_the_command_line(
    service: Service, run: Run, client: imago.Client
) -> None:
    def work() -> None:
        while not (found := client.atlases.list()):
            time.sleep(0.05)
        carry_out(service, found[0].id)
        service.work()

    worker = threading.Thread(target=work)
    worker.start()
    watched = run("build", NETWORK, "-l", "output", "-u", "0-9", "--facets", "2", "--watch").stdout
    worker.join()
    (atlas,) = client.atlases.list()
    assert watched.splitlines()[-1] == f"{atlas.id} complete, 20 of 20"
    shown = run("atlas", atlas.id).stdout
    assert "classifier" in shown
    assert "20/20" in shown
    assert atlas.id in run("atlases").stdout
    assert json.loads(run("atlases", "--json").stdout)["data"][0]["id"] == atlas.id


def test_every_change_of_an_atlas_has_a_command(service: Service, run: Run, client: imago.Client) -> None:
    atlas = built(service, client)
    assert "version 1: 10 pictures of 1 layer." in run("publish", atlas.id).stdout
    assert "planning" in run("extend", atlas.id, "--facets", "2").stdout
    assert "paused" in run("pause", atlas.id).stdout
    assert "planning" in run("resume", atlas.id).stdout
    carry_out(service, atlas.id)
    service.fail(service.claim(), "It broke.")
    failed = run("atlas", atlas.id, "--watch", expect=1)
    assert "10 failed" in failed.stdout
    assert "10 × It broke." in failed.stderr
    assert "building" in run("retry", atlas.id).stdout
    assert "imago export" in run("retry", atlas.id, "--out", "pictures", expect=2).stderr
    assert "canceled" in run("cancel", atlas.id).stdout
    run("delete", atlas.id)
    run("atlas", atlas.id, expect=3)


def test_sheets_are_waited_for_and_saved(service: Service, client: imago.Client, tmp_path: Path) -> None:
    atlas = built(service, client)
    (layer,) = atlas.layers()
    sheet, poster = layer.sheet("open"), atlas.poster("open")
    assert (sheet.made, sheet.current, sheet.layer, poster.layer) == (False, False, "classifier", None)
    with pytest.raises(imago.WaitTimeout):
        sheet.wait(timeout=0)
    with pytest.raises(imago.ImagoError, match=r"wait\(\)"):
        sheet.image_bytes()
    make_sheets(service.database, service.store, service.settings)
    assert sheet.wait(timeout=30).current
    assert poster.refresh().made
    with Image.open(sheet.save(tmp_path / "sheets" / "classifier.jpg")) as image:
        assert (image.format, image.size) == ("JPEG", (512, 384))
    assert poster._repr_jpeg_() == poster.image_bytes()
    assert atlas.sheet("output", "open").image().size == (512, 384)


def test_pictures_of_an_atlas_come_in_other_sizes_and_formats(service: Service, client: imago.Client) -> None:
    atlas = built(service, client)
    unit = next(atlas.units("output", "open"))
    with Image.open(io.BytesIO(unit.image_bytes(size=64, format="webp"))) as image:
        assert (image.format, image.size) == ("WEBP", (24, 24))
    shown = unit.visualization()
    assert shown.image_bytes(size=128, format="webp") == unit.image_bytes(size=64, format="webp")
    assert shown.image(format="jpg").size == (24, 24)
