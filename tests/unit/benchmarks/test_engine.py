"""Two engines side by side: an interrupted run goes on, and intervals say how sure a difference is."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine import making
from benchmarks.engine.__main__ import _engines, _generator_of, parser
from benchmarks.engine.making import SHIPPED, Engine, both_made, engine_source_at

STUB = """
import json, sys
from pathlib import Path
import numpy as np
name = json.loads(sys.argv[1])["name"]
print(json.dumps({"steps": 1}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if task["out"]:
        with Path(task["out"]).open("wb") as out:
            units = np.array(task["units"])
            images = np.zeros((len(units), 3, 2, 2), np.uint8)
            np.savez(out, images=images, activations=units + len(name), seconds=np.array([2.0, 3.0]))
    print("[2.0, 3.0]", flush=True)
"""


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    side = tmp_path / "side.py"
    side.write_text(STUB)
    monkeypatch.setattr(making, "SIDE", side)
    source = tmp_path / "src"
    source.mkdir()
    return [Engine(name, source, {"name": name}) for name in ("old", "newer")]


def test_both_engines_make_every_class_and_what_is_kept_is_not_made_again(
    engines: list[Engine], tmp_path: Path
) -> None:
    units = list(range(40))
    old, new = both_made(engines, units, 0, tmp_path / "cache")
    assert (old.activations - 3).tolist() == units
    assert (new.activations - 5).tolist() == units
    assert (new.wall, new.cpu) == ([2.0] * 3, [3.0] * 3)
    kept = sorted((tmp_path / "cache").rglob("*.npz"))
    assert len(kept) == 6
    kept[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in kept[2:]}
    again, _ = both_made(engines, units, 0, tmp_path / "cache")
    assert np.array_equal(again.activations, old.activations)
    assert before == {path: path.stat().st_mtime_ns for path in kept[2:]}


def test_another_code_or_another_request_is_made_anew(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    first = Engine("new", source, {"recipe": {}}).digest
    assert Engine("new", source, {"recipe": {"steps": 2}}).digest != first
    (source / "step.py").write_text(json.dumps("other code"))
    assert Engine("new", source, {"recipe": {}}).digest != first


def test_the_engine_of_a_revision_is_its_own_code(tmp_path: Path) -> None:
    source = engine_source_at("HEAD", tmp_path)
    assert (source / "imago_engine" / "synthesis" / "ascent.py").is_file()


def test_both_engines_have_one_generator_that_of_the_old_one_unless_another_is_named(tmp_path: Path) -> None:
    source = engine_source_at("HEAD", tmp_path)
    assert (source / SHIPPED).is_file()
    other = tmp_path / "other.safetensors"
    for named, expected in (([], source / SHIPPED), (["--generator", str(other)], other)):
        options = parser().parse_args(named)
        engines = _engines(options, source, _generator_of(options, source))
        assert [engine.asked["generator"] for engine in engines] == [str(expected)] * 2
