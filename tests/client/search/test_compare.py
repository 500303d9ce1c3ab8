"""Two atlases side by side in Python and on the command line, against the API over HTTP."""

import io
import json
import threading
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

import imago
from imago_engine.weights import EYE
from tests.api.resources.test_compare import compare
from tests.client.conftest import NETWORK, Run, Service
from tests.client.test_atlases import carry_out
from tests.integration.search.indexed import direction


@pytest.fixture
def pair(service: Service, client: imago.Client) -> tuple[str, str]:
    """Two recipes of one network, all done."""
    ids = []
    for steps in (5, 7):
        atlas = client.atlases.create(NETWORK, layers=["output"], units="0-9", parameters={"steps": steps})
        carry_out(service, atlas.id)
        service.work()
        ids.append(atlas.id)
    return ids[0], ids[1]


def embed(service: Service) -> None:
    """Let the eye see pictures that it has not seen, all alike but those of unit 3."""
    with service.database.session() as session:
        rows = session.execute(text("SELECT digest, unit FROM visualizations WHERE eye IS NULL")).all()
        for row in rows:
            name = row.digest if row.unit == 3 else "alike"
            session.execute(
                text("""
                INSERT INTO embeddings (digest, eye, network_id, layer, unit, vector)
                SELECT digest, :eye, network_id, layer, unit, CAST(:vector AS halfvec)
                FROM visualizations WHERE digest = :digest"""),
                {"eye": EYE, "digest": row.digest, "vector": str(direction(name))},
            )
        session.execute(text("UPDATE visualizations SET eye = :eye"), {"eye": EYE})


def work(service: Service) -> None:
    embed(service)
    compare(service.database, service.store, service.settings)


def test_two_recipes_are_compared_in_python(
    service: Service, client: imago.Client, pair: tuple[str, str], tmp_path: Path
) -> None:
    embed(service)
    found = client.compare(*pair)
    assert not found.made
    worker = threading.Thread(target=work, args=(service,))
    worker.start()
    found.wait(timeout=60)
    worker.join()
    found.refresh()
    assert found.current
    (layer,) = found.layers
    assert (layer.name, layer.matched, layer.not_indexed) == ("classifier", 10, 0)
    units = list(found.units("classifier"))
    assert (units[0].unit, len(units)) == (3, 10)
    assert units[0].distance > units[1].distance
    assert Image.open(io.BytesIO(found.sheet_bytes("classifier"))).format == "JPEG"
    assert found.save_sheet("classifier", tmp_path / "changed.jpg").exists()
    assert "classifier" in found._repr_html_()
    assert "10" in found._repr_html_()


def test_two_recipes_are_compared_on_the_command_line(
    service: Service, client: imago.Client, pair: tuple[str, str], run: Run, tmp_path: Path
) -> None:
    client.compare(*pair)
    work(service)
    table = run("compare", *pair)
    assert "classifier" in table.stdout
    sheet = tmp_path / "changed.jpg"
    listed = run("compare", *pair, "--layer", "classifier", "--sheet", str(sheet), "--limit", "3")
    assert listed.stdout.splitlines()[1].split()[0] == "3"
    assert len(listed.stdout.splitlines()) == 4
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"
    assert json.loads(run("compare", *pair, "--json").stdout)["object"] == "comparison"
    assert "needs --layer" in run("compare", *pair, "--sheet", str(sheet), expect=2).stderr
