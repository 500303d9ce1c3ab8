"""The atlas that comes with the checkout: whole, small, and what its digests say."""

from pathlib import Path

import pytest
from pyarrow import parquet

import imago
from imago.exports.checking import all_lines
from imago.exports.files import files_at
from imago_engine.objectives import objective_at
from imago_engine.specs import Spec
from tests.client.exports.conftest import files_of

SMALL_ATLAS = Path(__file__).parents[3] / "docs" / "small-atlas"


def test_it_is_whole_and_small() -> None:
    with imago.open(SMALL_ATLAS) as atlas:
        atlas.check()
        assert atlas.pictures.done == atlas.manifest["pictures"] == 287
        assert [layer.name for layer in atlas.layers()] == ["conv_stem", "blocks.4.2", "classifier"]
    files = files_of(SMALL_ATLAS)
    assert sum(map(len, files.values())) <= 6_000_000
    assert len(files) == 287 + 4


def test_it_tells_of_no_machine() -> None:
    for line in all_lines(files_at(SMALL_ATLAS)):
        assert not {"worker", "lease"} & line["provenance"].keys()


def test_every_digest_is_that_of_what_its_picture_is_of_and_made_by() -> None:
    with imago.open(SMALL_ATLAS) as atlas:
        recipes = atlas.manifest["recipes"]
    for line in all_lines(files_at(SMALL_ATLAS)):
        recipe = recipes[line["recipe"]]
        spec = Spec(
            network=line["network"],
            network_sha256=line["network_sha256"],
            objective=objective_at(line["layer"], line["unit"]),
            technique=recipe["technique"],
            parameters=recipe["parameters"],
            seed=line["seed"],
            version=line["engine"],
            source=line["generator_sha256"],
        )
        assert (spec.digest, spec.recipe.digest) == (line["digest"], line["recipe"])


def test_it_has_a_volcano_and_a_table() -> None:
    with imago.open(SMALL_ATLAS) as atlas:
        (volcano,) = (found for found in atlas.search("volcano") if found.probability is None)
        assert (volcano.unit.layer, volcano.unit.unit) == ("classifier", 980)
        assert volcano.unit.image().size == (128, 128)
        assert atlas.unit("classifier", 980).visualization().predictions[0].label == "volcano"
    table = parquet.read_table(SMALL_ATLAS / "metadata.parquet", columns=["file_name", "label"])
    assert "volcano" in table.column("label").to_pylist()
    assert all((SMALL_ATLAS / name).is_file() for name in table.column("file_name").to_pylist())


@pytest.mark.usefixtures("service")
def test_a_service_imports_it(client: imago.Client, admin: imago.Client) -> None:
    atlas = admin.atlases.load(SMALL_ATLAS)
    assert (atlas.pictures.done, len(atlas.layers())) == (287, 3)
    shown = next(atlas.units("classifier")).visualization().detail
    assert shown["provenance"]["imported"]["changed"] is False
