"""What is known of the demo's pictures stays: their names for ever, and what they look like.

`tests/data/demo_pictures.json` is written anew with each new default generator, and else only with a new
version of the technique. A digest that differs means that every picture anyone has computed is lost to the
cache. A picture that differs means that the technique's version must be raised.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imago_engine.objectives import UnitObjective
from imago_engine.specs import Spec
from imago_engine.synthesis import DgnAm, Generator, Item, Network, load_generator, synthesize
from imago_engine.techniques import technique_named
from imago_engine.weights import shipped_generator

ROOT = Path(__file__).resolve().parents[4]
DEMO = json.loads((ROOT / "infra/local/demo_units.json").read_text())
KNOWN = json.loads((ROOT / "tests/data/demo_pictures.json").read_text())
DEARER = "blocks.3/22"
"""For its directions the network is looked at."""
LEVELS = 2.0
"""Of 255: how much the thumbnails of machines that round differently may differ, in the mean. One step: from
the third on a difference in the last bit has grown to another picture."""


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return load_generator(shipped_generator())


def test_the_demo_s_specs_have_the_digests_that_they_always_had(lite0: Network, shipped: Generator) -> None:
    asked = {f"{layer['name']}/{unit}" for layer in DEMO["layers"] for unit in layer["units"]}
    assert len(asked) == 24
    assert asked <= KNOWN["digests"].keys()
    technique = technique_named("dgn-am")
    recommended = {**shipped.info.recommended, "input_size": DEMO["input_size"]}
    weights = hashlib.sha256(shipped_generator().read_bytes()).hexdigest()
    digests = {
        target: Spec(
            network=lite0.id,
            network_sha256=lite0.weights_sha256,
            objective=UnitObjective(layer=target.rpartition("/")[0], unit=int(target.rpartition("/")[2])),
            technique=technique.id,
            parameters=technique.settled(recommended),
            seed=0,
            version=technique.version,
            source=weights,
        ).digest
        for target in KNOWN["digests"]
    }
    assert digests == KNOWN["digests"]


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[H, W, 3] → [8, 8, 3], the mean of each field."""
    side = image.shape[0] // 8
    fields: NDArray[np.float64] = image.reshape(8, side, 8, side, 3).mean((1, 3))
    return fields


def from_hex(rows: list[str]) -> NDArray[np.float64]:
    return np.array([[list(bytes.fromhex(pixel)) for pixel in row.split()] for row in rows], np.float64)


@pytest.mark.parametrize(
    "target",
    [pytest.param(each, marks=pytest.mark.thorough if each == DEARER else ()) for each in KNOWN["pictures"]],
)
def test_the_first_steps_towards_a_picture_lead_where_they_always_led(
    target: str, lite0: Network, shipped: Generator
) -> None:
    known: dict[str, Any] = KNOWN["pictures"][target]
    layer, _, unit = target.rpartition("/")
    recipe = {
        **shipped.info.recommended,
        "steps": KNOWN["steps"],
        "input_size": KNOWN["input_size"],
        "precision": "float32",
    }
    (made,) = synthesize(lite0, shipped, layer, [Item(unit=int(unit), seed=0)], DgnAm(**recipe))
    assert np.abs(thumbnail(made.image) - from_hex(known["thumbnail"])).mean() < LEVELS
    assert made.activation == pytest.approx(known["activation"], rel=0.2)


def test_pictures_of_different_units_are_told_apart_by_this() -> None:
    """The tolerance is far below what any two of these pictures differ by."""
    known = [from_hex(picture["thumbnail"]) for picture in KNOWN["pictures"].values()]
    differences = [np.abs(a - b).mean() for i, a in enumerate(known) for b in known[:i]]
    assert min(differences) > 10 * LEVELS
