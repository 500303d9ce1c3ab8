from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.quality.lists import classes, famous, hidden_units, hundred, places
from benchmarks.quality.making import made
from benchmarks.quality.plan import BATCH, Plan
from benchmarks.quality.techniques import Made, OnStep, digest
from imago_engine.synthesis.ascent import Item


class Painter:
    """Paints a unit's number and seed; counts what it paints and may be interrupted."""

    name, steps, input_size = "painter", 2, 4

    def __init__(self, colour: int = 0, stops_after: int = 1 << 30) -> None:
        self.colour, self.batches, self.stops_after = colour, 0, stops_after

    @property
    def conditions(self) -> dict[str, Any]:
        return {"colour": self.colour}

    def make(self, layer: str, items: Sequence[Item], on_step: OnStep) -> Made:
        if self.batches == self.stops_after:
            raise KeyboardInterrupt
        self.batches += 1
        on_step(1)
        on_step(2)
        images = torch.zeros(len(items), 3, 4, 4, dtype=torch.uint8)
        for image, item in zip(images, items, strict=True):
            image[0], image[1], image[2] = item.unit % 256, item.unit // 256, item.seed
        return Made(images, torch.tensor([item.unit + item.seed / 10 for item in items]), 0.5)


def test_the_lists_are_what_they_claim_to_be() -> None:
    assert [unit.unit for unit in classes()] == list(range(0, 1000, 5))
    assert [thing.unit for thing in hundred()] == list(range(0, 1000, 10))
    units = hidden_units()
    assert len(set(units)) == 60
    assert {unit.layer for unit in units} == {"blocks.2.1", "blocks.4.2", "blocks.6.0"}
    for things, count in ((famous(), 1000), (places(), 365)):
        assert len({thing.unit for thing in things}) == len({thing.name for thing in things}) == 40
        assert all(0 <= thing.unit < count for thing in things)
    names = {thing.name: thing.unit for thing in famous()}
    assert (names["volcano"], names["lemon"], names["goldfish"], names["school bus"]) == (980, 951, 1, 779)


@pytest.mark.parametrize(
    ("plan", "pictures"),
    [
        (Plan.full(), 400 + 60 + 20 * 6),
        (Plan.of_classes(), 400 + 20 * 6),
        (Plan.of_classes(100, seeds=1), 100),
        (Plan.of_classes(40, seeds=3), 120),
        (Plan.quick(), 20 + 6 + 2),
    ],
)
def test_a_plan_asks_for_every_picture_once(plan: Plan, pictures: int) -> None:
    asked = [(layer, item.unit, item.seed) for layer, items in plan.batches() for item in items]
    assert len(asked) == len(set(asked)) == plan.pictures == pictures
    assert all(len(items) <= BATCH for _, items in plan.batches())


def test_pictures_are_found_by_unit_and_seed(tmp_path: Path) -> None:
    plan = Plan.quick()
    pictures = made(Painter(), plan, tmp_path)
    shown = pictures.of(plan.classes)
    assert (shown[:, 0, 0, 0].int() + 256 * shown[:, 1, 0, 0].int()).tolist() == [
        u.unit for u in plan.classes
    ]
    assert pictures.of(plan.faceted, seed=2)[:, 2, 0, 0].tolist() == [2, 2]
    expected = [unit.unit + 0.1 for unit in plan.faceted]
    assert pictures.activations_of(plan.faceted, seed=1).tolist() == pytest.approx(expected)


def test_an_interrupted_making_goes_on_where_it_was(tmp_path: Path) -> None:
    plan = Plan.quick()
    batches = len(list(plan.batches()))
    with pytest.raises(KeyboardInterrupt):
        made(Painter(stops_after=2), plan, tmp_path)
    rest = Painter()
    resumed = made(rest, plan, tmp_path)
    assert rest.batches == batches - 2
    assert resumed.seconds == 0.5 * batches
    again = Painter()
    assert torch.equal(made(again, plan, tmp_path).images, resumed.images)
    assert again.batches == 0


def test_other_conditions_are_made_anew(tmp_path: Path) -> None:
    made(Painter(colour=0), Plan.quick(), tmp_path)
    other = Painter(colour=1)
    assert digest(other) != digest(Painter(colour=0))
    made(other, Plan.quick(), tmp_path)
    assert other.batches == len(list(Plan.quick().batches()))


def test_half_a_file_is_not_taken_for_pictures(tmp_path: Path) -> None:
    made(Painter(), Plan.quick(), tmp_path)
    for path in tmp_path.rglob("*.npz"):
        path.rename(path.with_suffix(".unfinished"))
    again = Painter()
    made(again, Plan.quick(), tmp_path)
    assert again.batches == len(list(Plan.quick().batches()))
