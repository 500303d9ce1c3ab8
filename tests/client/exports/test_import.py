"""Atlases that another service has exported: imported whole, or not at all."""

import base64
import json
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import imago
from imago.transport import Transport
from services.base.errors import Unavailable
from services.pictures import artifacts
from tests.client.conftest import NETWORK, Run, Service, picture_of
from tests.client.exports.conftest import OF_NETWORKS, OF_PICTURES, UNREACHABLE, files_of, forget, huge_png
from tests.client.test_atlases import carry_out


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "units.jsonl").read_text().splitlines()]


def count(service: Service, table: str) -> int:
    with service.database.session() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_what_was_imported_is_what_was_exported(folder: Path, admin: imago.Client, tmp_path: Path) -> None:
    atlas = admin.atlases.load(folder)
    assert (atlas.state, atlas.visibility, atlas.latest_version) == ("complete", "private", 1)
    assert (atlas.pictures.done, atlas.pictures.unreachable, atlas.pictures.total) == (98, 2, 100)
    (goldfish,) = (unit for unit in atlas.units("classifier") if unit.unit == 1)
    with imago.open(folder) as theirs:
        assert goldfish.raw == theirs.unit("classifier", 1).raw
    shown = goldfish.visualization()
    assert shown.image_bytes() == picture_of(1)
    said = shown.predictions[0]
    assert (said.index, said.label, said.probability) == (1, "goldfish", 0.75)
    assert shown.detail["provenance"]["imported"] == {"changed": False}
    ours = atlas.export(tmp_path / "ours", table="jsonl")
    same = {name for name in files_of(folder) if name.startswith("images/")}
    assert {name: files_of(ours)[name] for name in same} == {name: files_of(folder)[name] for name in same}
    lines = [{line["digest"]: line["activation"] for line in lines_of(each)} for each in (ours, folder)]
    assert lines[0] == lines[1]


def test_what_is_imported_counts_as_made_and_can_be_gone_on_with(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    atlas = admin.atlases.load(folder)
    job = admin.submit(NETWORK, ["output/0-19"])
    assert (job.state, job.units.cached) == ("succeeded", 20)
    atlas.extend(facets=3)
    carry_out(service, atlas.id)
    atlas.refresh()
    assert (atlas.pictures.total, atlas.pictures.done, atlas.pictures.queued) == (150, 98, 50)


def test_the_orders_of_what_was_imported_are_there_before_anybody_looks(
    service: Service, folder: Path, admin: imago.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.grids.kept_orders.KEPT_FROM", 1)
    admin.atlases.load(folder)
    with service.database.session() as session:
        kept = session.execute(text("SELECT layer_no, number, ordered_by, facet FROM grid_orders"))
        orders = {(row.layer_no, row.number, row.ordered_by) for row in kept if row.facet == 0}
    assert orders == {(layer, 1, by) for layer in (0, 1) for by in ("activation", "label")}


def test_of_candidates_the_best_come_along(
    service: Service, client: imago.Client, admin: imago.Client, tmp_path: Path
) -> None:
    theirs = client.atlases.create(NETWORK, layers=["output"], units="0-3", candidates=3)
    carry_out(service, theirs.id)
    service.work()
    carry_out(service, theirs.id)
    theirs.publish()
    folder = theirs.export(tmp_path / "theirs", table="jsonl")
    assert [(line["facet"], line["seed"]) for line in lines_of(folder)] == [(0, 10_001)] * 4
    forget(service)
    atlas = admin.atlases.load(folder)
    assert (atlas.state, atlas.pictures.done, atlas.pictures.total) == ("complete", 4, 4)
    assert [unit.visualization().seed for unit in atlas.units("classifier")] == [10_001] * 4


def test_pixels_of_another_format_come_back_byte_for_byte(
    service: Service, atlas: imago.Atlas, admin: imago.Client, tmp_path: Path
) -> None:
    path = atlas.export(tmp_path / "small.tar", format="webp", table="jsonl")
    forget(service)
    found = next(admin.atlases.load(path).units("classifier")).visualization()
    assert found.image_bytes() == picture_of(0)
    assert found.detail["provenance"]["imported"]["changed"] is False


def test_importing_again_makes_no_second_atlas(folder: Path, admin: imago.Client, service: Service) -> None:
    assert admin.atlases.load(folder).id == admin.atlases.load(folder).id
    assert count(service, "atlases") == 1
    assert count(service, "atlas_imports") == 0


def test_a_broken_off_import_is_seen_by_nobody_and_goes_on(
    service: Service, folder: Path, admin: imago.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    post = Transport.post

    def cut(self: Transport, path: str, body: Any = None, **more: Any) -> Any:
        if path.endswith("/entries"):
            if len(sent) == 3:
                raise imago.Unreachable("The line is cut.")
            sent.append(body["first"])
        return post(self, path, body, **more)

    monkeypatch.setattr("imago.exports.importing._MOST", 7)
    with monkeypatch.context() as broken:
        broken.setattr(Transport, "post", cut)
        with pytest.raises(imago.Unreachable):
            admin.atlases.load(folder)
    assert admin.atlases.list() == []
    assert count(service, "atlas_entries") == 21
    atlas = admin.atlases.load(folder)
    assert (atlas.state, atlas.pictures.settled) == ("complete", 100)
    assert count(service, "atlas_entries") == 100


IMPORTING = """
import sys, imago
import imago.exports.importing as importing
importing._MOST = 5
client = imago.Client(sys.argv[1], sys.argv[2])
client.atlases.load(sys.argv[3], lambda done, total: print(done, flush=True))
"""


def test_killed_in_the_middle_it_goes_on_with_nothing_twice(
    service: Service, folder: Path, admin: imago.Client, command_environment: dict[str, str]
) -> None:
    key = admin._transport.key
    arguments = [sys.executable, "-c", IMPORTING, service.url, str(key), str(folder)]
    with subprocess.Popen(arguments, env=command_environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if int(said) >= 120:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    assert admin.atlases.list() == []
    atlas = admin.atlases.load(folder)
    assert atlas.pictures.settled == 100
    assert [count(service, table) for table in ("atlases", "atlas_entries", "visualizations")] == [
        1,
        100,
        100,
    ]


def test_what_is_cut_or_tampered_with_is_refused_before_anything_is_sent(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    (folder / "images/classifier/00003-0.png").write_bytes(picture_of(4))
    with pytest.raises(imago.DamagedExport, match=r"00003-0\.png"):
        admin.atlases.load(folder)
    (folder / "atlas.json").unlink()
    with pytest.raises(imago.DamagedExport, match="not finished"):
        admin.atlases.load(folder)
    assert [count(service, table) for table in OF_PICTURES] == [0] * len(OF_PICTURES)


def sent(folder: Path, number: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest, and an entry with its picture."""
    line = json.loads((folder / "units.jsonl").read_text().splitlines()[number])
    content = base64.b64encode((folder / line["file_name"]).read_bytes()).decode()
    return json.loads((folder / "atlas.json").read_text()), {**line, "content": content}


def with_picture(content: bytes) -> dict[str, Any]:
    return {"content": base64.b64encode(content).decode(), "sha256": sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"unit": 1}, "/entries/0/digest"),
        ({"seed": 5}, "/entries/0/digest"),
        ({"digest": "0" * 64}, "/entries/0/digest"),
        ({"engine": "0"}, "/entries/0/digest"),
        ({"generator_sha256": "c" * 64}, "/entries/0/generator_sha256"),
        ({"recipe": "c" * 64}, "/entries/0/recipe"),
        ({"layer": "other"}, "/entries/0/layer"),
        ({"sha256": "c" * 64}, "/entries/0/content"),
        ({"content": None}, "/entries/0/content"),
        (with_picture(bytes(3)), "/entries/0/content"),
        (with_picture(huge_png()), "/entries/0/content"),
        (with_picture(picture_of(0)[:60]), "/entries/0/content"),
        ({"state": "queued"}, "/entries/0/state"),
        ({"facet": 1}, "/entries/0/facet"),
        ({"crop_box": [9, 9, 3, 3]}, "/entries/0/crop_box"),
        ({"predictions": [{"index": 1, "probability": 7}]}, "/entries/0/predictions/0/probability"),
        ({"finished_at": "0001-01-01T00:00:00+14:00"}, "/entries/0/finished_at"),
    ],
)  # fmt: skip
def test_the_server_checks_every_entry_itself(
    service: Service, folder: Path, admin: imago.Client, change: dict[str, Any], pointer: str
) -> None:
    manifest, entry = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    with pytest.raises(imago.InvalidRequest) as refused:
        admin._transport.post(begun["links"]["entries"], {"first": 0, "entries": [{**entry, **change}]})
    assert [error.pointer for error in refused.value.errors] == [pointer]
    assert count(service, "atlas_entries") == count(service, "visualizations") == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"format": "other"}, "/format"),
        ({"format_version": 2}, "/format_version"),
        ({"entries": 99}, "/entries"),
        ({"recipes": {"c" * 64: {"technique": "dgn-am", "parameters": {}}}}, f"/recipes/{'c' * 64}"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    service: Service, folder: Path, admin: imago.Client, change: dict[str, Any], pointer: str
) -> None:
    manifest, _ = sent(folder)
    with pytest.raises(imago.InvalidRequest) as refused:
        admin._transport.post("/v1/atlases:import", {**manifest, **change})
    assert [error.pointer for error in refused.value.errors] == [pointer]
    assert count(service, "atlases") == 0


def test_entries_come_in_order_and_only_while_an_import_goes_on(
    folder: Path, admin: imago.Client, service: Service
) -> None:
    manifest, entry = sent(folder)
    begun = admin._transport.post("/v1/atlases:import", manifest).body
    where = begun["links"]["entries"]
    with pytest.raises(imago.Conflict, match="Entry 0 is the next one"):
        admin._transport.post(where, {"first": 1, "entries": [entry]})
    for _ in range(2):  # the second is the same again, as after a lost answer
        assert admin._transport.post(where, {"first": 0, "entries": [entry]}).body["received"] == 1
    assert count(service, "atlas_entries") == 1
    atlas = admin.atlases.load(folder)
    with pytest.raises(imago.Conflict, match="is not being imported"):
        admin._transport.post(f"/v1/atlases/{atlas.id}/entries", {"first": 0, "entries": [entry]})


def test_entries_that_are_not_those_of_the_manifest_make_no_atlas(folder: Path, admin: imago.Client) -> None:
    manifest, entry = sent(folder)
    few = [{**layer, "lines": 1, "pictures": 1, "unreachable": 0} for layer in manifest["layers"]]
    begun = admin._transport.post(
        "/v1/atlases:import", {**manifest, "layers": few, "entries": 2, "pictures": 2}
    ).body
    where = begun["links"]["entries"]
    _, other = sent(folder, 1)
    with pytest.raises(imago.InvalidRequest, match="counts of"):
        admin._transport.post(where, {"first": 0, "entries": [entry, other]})
    with pytest.raises(imago.InvalidRequest, match="a second time") as refused:
        admin._transport.post(where, {"first": 0, "entries": [entry, entry]})
    assert [error.pointer for error in refused.value.errors] == ["/entries/1"]
    assert admin.atlases.list() == []


def test_a_network_and_a_generator_that_are_not_here_are_written_down_as_known(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    forget(service, *OF_NETWORKS)
    atlas = admin.atlases.load(folder)
    assert atlas.raw["outdated"] is True
    assert next(atlas.units("classifier")).visualization().image_bytes() == picture_of(0)
    assert admin.network(NETWORK).state == "pending"
    (generator,) = admin.generators()
    assert generator.raw["is_here"] is False
    assert admin.layers(NETWORK) == []
    service.inspect(NETWORK)
    assert atlas.refresh().raw["outdated"] is False
    with pytest.raises(imago.InvalidRequest, match="is not here"):
        admin.submit(NETWORK, ["blocks.3/70"], generator=generator.id)
    assert {unit.label for unit in atlas.units("classifier")} >= {"tench", "goldfish"}


def test_a_picture_that_is_here_stays_and_one_that_is_waited_for_stops_the_import(
    service: Service, folder: Path, admin: imago.Client
) -> None:
    admin.submit(NETWORK, ["output/0"])
    with pytest.raises(imago.Conflict, match="is queued here"):
        admin.atlases.load(folder)
    claim = service.claim()
    service.finish(claim)
    atlas = admin.atlases.load(folder)
    made_here = next(atlas.units("classifier")).visualization().detail["provenance"]
    assert made_here == service.told_of(claim)


def test_no_room_in_the_store_writes_no_rows(
    service: Service, folder: Path, admin: imago.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise Unavailable("object store", "It has no room left.")

    with monkeypatch.context() as without_room:
        without_room.setattr(artifacts, "put", full)
        without_room.setattr("imago.transport.Patience.seconds", 0.0)
        with pytest.raises(imago.Unavailable):
            admin.atlases.load(folder)
    assert count(service, "visualizations") == 0
    assert admin.atlases.load(folder).pictures.settled == 100


def test_only_admins_import(
    folder: Path, client: imago.Client, run: Run, admin: imago.Client, service: Service
) -> None:
    with pytest.raises(imago.NotAuthorized):
        client.atlases.load(folder)
    key = str(admin._transport.key)
    said = run("import", str(folder), IMAGO_API_KEY=key).stdout
    assert "complete: 98 pictures of" in said
    assert UNREACHABLE in [
        unit.unit
        for unit in admin.atlases.list()[0].units("blocks.3")
        if unit.facets[0]["state"] == "unreachable"
    ]


IN_NETWORK = {"ordinal": 1, "kind": "block"}


@pytest.mark.parametrize(
    ("layer", "pointer"),
    [
        ({"units": "0-4"}, "/layers/0/units"),
        ({"units": "0-5000"}, "/layers/0/units"),
        ({"layer": "other", "in_network": {**IN_NETWORK, "units": 2**31 - 1}}, "/layers/0/in_network/units"),
        ({"parameters": {"steps": "many"}}, "/layers/0/parameters"),
        ({"parameters": {"steps": 60, "note": "\0"}}, "/layers/0/parameters/note"),
        ({"lines": 7}, "/layers/0/lines"),
    ],
)
def test_a_layer_that_could_not_be_gone_on_with_is_refused(
    service: Service, folder: Path, admin: imago.Client, layer: dict[str, Any], pointer: str
) -> None:
    manifest, _ = sent(folder)
    first, *others = manifest["layers"]
    with pytest.raises(imago.InvalidRequest) as refused:
        admin._transport.post("/v1/atlases:import", {**manifest, "layers": [{**first, **layer}, *others]})
    assert pointer in [error.pointer for error in refused.value.errors]
    assert count(service, "atlases") == 0
