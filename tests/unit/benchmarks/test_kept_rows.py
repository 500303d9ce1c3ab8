import json
from pathlib import Path
from typing import Any

from benchmarks.quality.measuring.kept_rows import CONDITIONS, KeptRows
from tests.unit.benchmarks.test_plan_and_making import Painter

NOW: dict[str, Any] = dict.fromkeys(CONDITIONS, "as now") | {"load": 0.1}


def kept(folder: Path, conditions: dict[str, Any], **changes: Any) -> KeptRows:
    painter = Painter()
    row = {
        "technique": painter.name,
        "steps": painter.steps,
        "input_size": painter.input_size,
        "frechet": 7.0,
    }
    file = folder / "quality.json"
    file.write_text(json.dumps({"techniques": [row | changes], "conditions": conditions}))
    return KeptRows(file, NOW, without="minus_first")


def test_a_row_that_was_measured_under_the_same_conditions_is_kept_and_says_so(tmp_path: Path) -> None:
    found = kept(tmp_path, NOW | {"load": 9.9}).of(Painter())
    assert found is not None
    assert (found["frechet"], found["kept"]) == (7.0, True)


def test_nothing_is_kept_of_other_conditions(tmp_path: Path) -> None:
    assert kept(tmp_path, NOW | {"judges": "others"}).of(Painter()) is None
    assert kept(tmp_path, NOW, steps=Painter().steps + 1).of(Painter()) is None
    assert kept(tmp_path, NOW, technique="another").of(Painter()) is None
    assert KeptRows(tmp_path / "missing.json", NOW).of(Painter()) is None


def test_how_a_kept_row_differed_from_what_was_first_then_is_left_out(tmp_path: Path) -> None:
    found = kept(tmp_path, NOW, minus_first={"frechet": 1.0}).of(Painter())
    assert found is not None
    assert "minus_first" not in found
