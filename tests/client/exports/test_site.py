"""An atlas as a site that needs no server. That it works in a browser: tests/web/test_static_site.py."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import imago
from imago.transport import Transport
from imago_engine.artifacts import Artifact, ArtifactKind
from services.pictures.artifacts import put
from services.queue import batches
from services.queue.batches import Finished
from tests.client.broken_wire import BrokenWire
from tests.client.conftest import NETWORK, Run, Service
from tests.client.exports.conftest import UNREACHABLE, files_of
from tests.client.test_atlases import carry_out
from tests.drawn_map import draw_map
from tests.found_exemplars import CROPS, find_exemplars

PHOTOGRAPHS = "photographs"
UNIT_PAGE = "layers/002-classifier/units/{}.html"


def pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.html"))


@pytest.fixture
def furnished(service: Service, client: imago.Client, atlas: imago.Atlas) -> imago.Atlas:
    """The atlas with a map, and with photographs of five of its classes."""
    draw_map(service.database, service.store, atlas.id, 1, "goldfish")
    client.scan_pictures(NETWORK, ["birds"], layers="classifier")
    find_exemplars(service.database, service.store, "classifier", range(5))
    return atlas


@pytest.fixture(scope="module")
def kept_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that reads a site leaves it for all that follow."""
    return tmp_path_factory.mktemp("sites") / "kept"


@pytest.fixture
def site(request: pytest.FixtureRequest, kept_site: Path) -> Path:
    """A site of the furnished atlas, to be read."""
    if not kept_site.exists():
        atlas: imago.Atlas = request.getfixturevalue("furnished")
        assert atlas.export_site(kept_site) == kept_site / "index.html"
    return kept_site


def test_a_site_has_a_page_of_every_unit_and_every_link_leads_to_a_file_of_it(site: Path) -> None:
    units = {path.relative_to(site).as_posix() for path in site.glob("layers/*/units/*.html")}
    layers = {path.name for path in site.glob("layers/*")}
    assert layers == {"001-blocks.3", "002-classifier"}
    assert len(units) == 20 + 30
    for page in pages(site):
        text = page.read_text()
        links = re.findall(r'(?:href|src|action)="([^"#?]+)', text)
        assert links
        for link in links:
            assert not re.match(r"[a-z]+:|/", link), f"{page} leaves the site by {link}"
            assert (page.parent / link).is_file(), f"{page} links to {link}"
        assert not re.search(r"<script(?![^>]* src=)|type=\"module\"|<form[^>]*method", text)
    assert "goldfish" in (site / "map.html").read_text()


def test_photographs_that_excite_units_are_part_of_it(site: Path) -> None:
    there = sorted(site.glob("photographs/*/*/*.webp"))
    assert [path.name for path in there] == [f"{unit}-{rank}.webp" for unit in range(5) for rank in (0, 1)]
    assert {path.read_bytes() for path in there} == set(CROPS)
    assert "50 scanned" in (site / UNIT_PAGE.format(1)).read_text()
    assert "No photographs" in (site / UNIT_PAGE.format(9)).read_text()


def test_photographs_that_may_not_be_are_no_part_of_it_nor_left_in_one(
    furnished: imago.Atlas, tmp_path: Path
) -> None:
    furnished.export_site(tmp_path, exemplars=False)
    assert not (tmp_path / PHOTOGRAPHS).exists()
    assert "scanned with" in (tmp_path / UNIT_PAGE.format(1)).read_text()
    with pytest.raises(imago.Conflict, match="something else"):
        furnished.export_site(tmp_path)


def test_a_unit_shows_its_facets_and_one_without_a_picture_says_why(site: Path) -> None:
    shown = (site / UNIT_PAGE.format(1)).read_text()
    assert "<h1>goldfish" in shown
    assert "2 facets" in shown
    missing = (site / f"layers/001-blocks.3/units/{UNREACHABLE}.html").read_text()
    assert "Nothing that is done to a picture moves this unit" in missing
    assert "portrait" not in missing


def test_a_search_loads_the_units_of_a_label_and_a_grid_those_of_its_layer(site: Path) -> None:
    layers = told(site / "index/layers.js")
    assert [(name, folder, starts) for name, folder, _, starts, _ in layers] == [
        ("blocks.3", "layers/001-blocks.3", [0]),
        ("classifier", "layers/002-classifier", [0]),
    ]
    number, rows = told(site / f"index/{layers[1][2]}.js")
    assert number == layers[1][2]
    assert [row[0] for row in rows] == list(range(20))
    _, missing = told(site / f"index/{layers[0][2]}.js")
    assert [(row[0], row[2]) for row in missing if row[8] == "unreachable"] == [(UNREACHABLE, None)]
    label, hits = told(site / "index/labels/1.js")
    assert label == 1
    assert hits[0][:2] == [1, 1], "the unit that is called so comes first"
    text = (site / "search.html").read_text()
    assert "index/labels" not in text
    assert not re.search(r"index/[0-9]+\.js", text)


def told(script: Path) -> Any:
    """What a script of the index hands over."""
    return json.loads(re.split(r" = |\(", script.read_text(), maxsplit=1)[1].rstrip().rstrip(");"))


def test_names_are_escaped_in_pages_and_scripts(atlas: imago.Atlas, tmp_path: Path) -> None:
    atlas.change(name="</script><b>bold")
    atlas.export_site(tmp_path)
    for page in pages(tmp_path):
        assert "<b>bold" not in page.read_text()
    assert "&lt;b&gt;bold" in (tmp_path / "index.html").read_text()


def test_a_site_goes_on_and_fetches_nothing_twice(
    atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "site"
    atlas.export_site(whole)
    fetched: list[str] = []
    ends_at = 30
    get_bytes = Transport.get_bytes

    def counted(self: Transport, path: str, *more: Any) -> bytes:
        fetched.append(path)
        if len(fetched) == ends_at:
            raise KeyboardInterrupt
        return get_bytes(self, path, *more)

    monkeypatch.setattr(Transport, "get_bytes", counted)
    with pytest.raises(KeyboardInterrupt):
        atlas.export_site(folder)
    assert not (folder / "index.html").exists()
    there = list(folder.glob("pictures/*/*"))
    there.pop().write_bytes(b"")  # as a power cut leaves it
    fetched.clear()
    ends_at = 0
    atlas.export_site(folder)
    assert files_of(folder) == files_of(whole)
    assert len(fetched) == len(list(whole.glob("pictures/*/*"))) - len(there)


def test_a_list_of_files_that_breaks_off_is_read_again_as_long_as_there_are_more_pictures(
    atlas: imago.Atlas, service: Service, tmp_path: Path
) -> None:
    wire = BrokenWire(service.url, lose=1, to=f"GET /v1/atlases/{atlas.id}/versions/1/site", keep=300_000)
    with wire.carrying(), imago.Client(wire.url, service.key) as broken:
        broken.atlases.get(atlas.id).export_site(tmp_path / "broken")
    atlas.export_site(tmp_path / "whole")
    whole = files_of(tmp_path / "whole")
    assert files_of(tmp_path / "broken") == whole
    assert sum(len(whole[name]) for name in whole if not name.startswith("pictures/")) > 300_000


def test_progress_tells_of_pictures(atlas: imago.Atlas, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    atlas.export_site(tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert {total for _, total in told} == {100}


def test_another_site_and_a_version_that_is_being_built_are_refused(
    atlas: imago.Atlas, client: imago.Client, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    atlas.export_site(folder)
    other = client.atlases.create(NETWORK, layers=["output"], units="0-3", name="Other")
    with pytest.raises(imago.Conflict, match="being built"):
        other.export_site(tmp_path / "other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(imago.Conflict, match="not empty"):
        atlas.export_site(tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_the_command_writes_a_site(run: Run, atlas: imago.Atlas, tmp_path: Path) -> None:
    told = run("export", atlas.id, "--site", "site")
    assert "site/index.html" in told.stdout
    assert "no map yet" in told.stdout
    assert (tmp_path / "site" / "index.html").is_file()
    run("export", atlas.id, "--site", "other", "--size", "64", expect=2)


def large(service: Service) -> None:
    """Bring every picture of a batch home with 300 pixels a side, of which the unit sees 40."""
    claim = service.claim()
    artifacts = [
        put(service.store, Artifact(kind, "image/png", png(side), side, side))
        for kind, side in ((ArtifactKind.IMAGE, 300), (ArtifactKind.CROP, 40))
    ]
    finished = [
        Finished(
            digest=work.digest,
            activation=1.0,
            score=1.0,
            predictions=None,
            artifacts=artifacts,
            crop_box=(10, 10, 50, 50),
            provenance={},
        )
        for work in claim.items
    ]
    with service.database.session() as session:
        assert len(batches.conclude(session, claim.lease_id, finished=finished)) == len(finished)


def png(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (side % 256, 60, 128)).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def large_atlas(service: Service, client: imago.Client) -> imago.Atlas:
    """Two channels, whose pictures are larger than a thumbnail, and of which they see a part."""
    atlas = client.atlases.create(NETWORK, layers=["blocks.3"], units="0-1")
    carry_out(service, atlas.id)
    large(service)
    atlas.publish()
    return atlas.refresh()


def sizes(folder: Path) -> dict[str, set[tuple[int, int]]]:
    """By what follows the digest in names of pictures, how large these are."""
    found: dict[str, set[tuple[int, int]]] = {}
    for path in folder.glob("pictures/*/*"):
        with Image.open(path) as picture:
            found.setdefault(path.name[64:], set()).add(picture.size)
    return found


SIZES = {"-128.webp": {(128, 128)}, "-512.webp": {(300, 300)}, "-crop.png": {(40, 40)}}


def test_thumbnails_have_their_size_and_crops_are_what_the_unit_sees(
    large_atlas: imago.Atlas, tmp_path: Path
) -> None:
    large_atlas.export_site(tmp_path)
    assert sizes(tmp_path) == SIZES


def test_a_site_of_an_earlier_release_gets_all_its_pictures_anew_and_goes_on_where_that_was_stopped(
    large_atlas: imago.Atlas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    large_atlas.export_site(folder)
    stamp = json.loads((folder / ".site.json").read_text())
    (folder / ".site.json").write_text(json.dumps({name: stamp[name] for name in ("atlas", "version")}))
    for path in folder.glob("pictures/*/*"):
        path.write_bytes(png(300))
    (folder / "CNAME").write_text("mine")
    get_bytes = Transport.get_bytes
    fetched: list[str] = []

    def counted(self: Transport, path: str, *more: Any) -> bytes:
        fetched.append(path)
        if len(fetched) == 3:
            raise KeyboardInterrupt
        return get_bytes(self, path, *more)

    monkeypatch.setattr(Transport, "get_bytes", counted)
    with pytest.raises(KeyboardInterrupt):
        large_atlas.export_site(folder)
    assert not (folder / "index.html").exists()
    large_atlas.export_site(folder)
    assert sizes(folder) == SIZES
    assert (folder / "CNAME").read_text() == "mine"
    before = len(fetched)
    large_atlas.export_site(folder)
    assert len(fetched) == before
