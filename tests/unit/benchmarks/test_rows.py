"""The rows of the table, from pictures and judges whose figures are known beforehand."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.quality.assets import Assets
from benchmarks.quality.lists import OUTPUT, Unit
from benchmarks.quality.making import made
from benchmarks.quality.measuring.evaluation import Row, real_row, row
from benchmarks.quality.measuring.judged import judged
from benchmarks.quality.measuring.judges import Judge, Opinions, resized
from benchmarks.quality.measuring.real import Real, Seen
from benchmarks.quality.measuring.report import table, write
from benchmarks.quality.plan import Plan
from tests.unit.benchmarks.test_plan_and_making import Painter

CLASSES = tuple(Unit(OUTPUT, u) for u in (3, 4, 300, 301))
PLAN = Plan(CLASSES, (Unit("blocks.0", 2),), CLASSES[:1], (0, 1), (0,), CLASSES)


class Reader(Judge):
    """Reads the number that the painter painted; it is `off` by so many classes' ranks."""

    def __init__(self, id: str, off: int, has_features: bool) -> None:
        self.id, self._off, self._has_features = id, off, has_features

    @property
    def has_features(self) -> bool:
        return self._has_features

    def __call__(self, images: Tensor, progress: object = None) -> Opinions:
        units = images[:, 0, 0, 0].long() + 256 * images[:, 1, 0, 0].long()
        logits = torch.zeros(len(images), 1000)
        logits[torch.arange(len(images)), units] = 1.0
        for place in range(self._off):
            logits[torch.arange(len(images)), (units + 1 + place) % 1000] = 2.0
        features = torch.nn.functional.one_hot(images[:, 2, 0, 0].long(), 8).float()
        return Opinions(logits, features if self._has_features else None)


def reality() -> Real:
    drawn = np.random.default_rng(0)
    classes = np.array([3, 3, 4, 4, -1, -1, 300, 300])
    features = drawn.normal(size=(8, 8)) + 5
    whole = Seen(features, np.array([[0, 0, 0, 0, 4, 9], [0, 0, 0, 9, 9, 9]]))
    activations = {OUTPUT: np.tile(np.arange(8.0)[:, None], (1, 1000)), "blocks.0": np.zeros((8, 16))}
    return Real(classes, whole, Seen(features * 0.5, whole.ranks + 1), 64, activations)


def figures(cache: Path, panel: Sequence[Judge], seen: Collection[int] = ()) -> Row:
    pictures = made(Painter(), PLAN, cache)
    return row(Painter(), pictures, judged(pictures, PLAN, panel), PLAN, reality(), seen)


def test_a_row_has_the_figures_that_its_pictures_and_judges_make(tmp_path: Path) -> None:
    found = figures(tmp_path, [Reader("exact", 0, False), Reader("two off", 2, True)])
    assert found["technique"] == "painter"
    assert found["agreement_top1"] == 0.5
    assert found["agreement_top5"] == 1.0
    assert found["judges"]["two off"] == {"agreement_top1": 0.0, "agreement_top5": 1.0}
    # Units 3 and 4 activate by 3 and 4 among 0…7, 300 and 301 above all; the hidden unit above all zeros.
    assert found["activation_percentile_by_layer"] == {OUTPUT: (43.75 + 56.25 + 200) / 4, "blocks.0": 100.0}
    assert found["activation_percentile"] == pytest.approx((43.75 + 56.25 + 300) / 5)
    # The strongest photograph has 7; none excites the hidden unit.
    assert found["activation_ratio"] == pytest.approx((3 + 4 + 300 + 301) / 7 / 4)
    assert found["diversity"] == pytest.approx(1.0)  # the seeds' features are at right angles
    assert found["seconds_per_neuron"] == pytest.approx(0.5 * 3 / 6)
    assert found["frechet"] > 0
    assert found["flat_pictures"] == 6  # the painter knows no shapes


def test_both_seeds_of_a_class_count_and_realism_is_of_the_first_alone(tmp_path: Path) -> None:
    plan = Plan(CLASSES, (), (), (), (0, 1), CLASSES[:2])
    said = judged(made(Painter(), plan, tmp_path), plan, [Reader("two off", 2, True)])
    assert said.ranks.tolist() == [[[2, 2]] * 4]
    assert said.features.argmax(1).tolist() == [0, 0]  # the seed, as the reader tells it


def test_classes_of_the_training_are_told_from_the_others(tmp_path: Path) -> None:
    panel = [Reader("two off", 2, True)]
    found = figures(tmp_path, panel, seen={3, 300, 999})
    parts = found["agreement_by_training"]
    assert (parts["trained_on"]["classes"], parts["others"]["classes"]) == (2, 2)
    assert parts["others"]["agreement_top5"] == 1.0
    assert "agreement_by_training" not in figures(tmp_path, panel)


def test_the_ceiling_compares_held_out_photographs_with_the_others() -> None:
    found = real_row(reality(), 2)
    assert found["agreement_top1"] == pytest.approx(7 / 12)
    assert found["agreement_top5"] == pytest.approx(8 / 12)
    assert found["reduced"]["agreement_top1"] == 0
    assert found["reduced"]["image_size"] == 64
    # Photographs 0 and 1 show class 3 and give it the logits 0 and 1: 6.25 and 18.75 of 100, and so on.
    own = [(2 * i + 1) / 16 * 100 for i in (0, 1, 2, 3, 6, 7)]
    assert found["activation_percentile"] == pytest.approx(np.mean(own))
    assert found["seconds_per_neuron"] is None


def test_the_file_has_the_agreed_shape_and_no_nan(tmp_path: Path) -> None:
    rows = [figures(tmp_path / "cache", [Reader("exact", 0, True)])]
    rows[0]["frechet"] = float("nan")
    out = tmp_path / "results" / "quality.json"
    write(out, rows, real_row(reality(), 2), [], {"device": "CPU"})
    content = json.loads(out.read_text())
    keys = {
        "technique", "agreement_top1", "agreement_top5", "frechet", "activation_percentile", "diversity",
        "seconds_per_neuron",
    }  # fmt: skip
    assert keys <= content["techniques"][0].keys()
    assert keys <= content["real"].keys()
    assert content["techniques"][0]["frechet"] is None
    assert [path.name for path in out.parent.iterdir()] == ["quality.json"]


def test_the_table_has_a_line_for_everyone_and_dashes_for_what_is_not_there() -> None:
    lines = table([real_row(reality(), 2)]).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split("|")[-2].strip() == "–"


def test_ranks_count_the_classes_in_front() -> None:
    logits = torch.tensor([[0.1, 0.9, 0.5], [3.0, 2.0, 1.0]])
    assert Opinions(logits, None).ranks_of(torch.tensor([2, 2])).tolist() == [1, 2]


def test_a_picture_of_the_right_size_is_only_scaled_to_unit_range() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(resized(images, 8), images.float() / 255)
    assert resized(images, 5).shape == (2, 3, 5, 5)


def test_missing_assets_end_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="--assets or IMAGO_ASSETS"):
        Assets(tmp_path)
    monkeypatch.setenv("IMAGO_ASSETS", str(tmp_path / "elsewhere"))
    with pytest.raises(SystemExit, match="elsewhere"):
        Assets()
