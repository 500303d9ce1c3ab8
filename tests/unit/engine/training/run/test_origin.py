"""How a training was begun, also where an earlier release wrote it down."""

import json
from pathlib import Path

from imago_engine.training.run.origin import Origin, origin_of

TOLD = {"command": "python -m imago_engine.training train birds", "warm_start": "a" * 64}


def write_as_before(folder: Path) -> None:
    arguments = ["train", "/pictures/of birds", "--pictures", "100"]
    (folder / "settings.json").write_text(json.dumps({"command": arguments, "warm_start": "b" * 64}))


def test_a_checkpoint_that_says_how_it_was_begun_is_believed(tmp_path: Path) -> None:
    write_as_before(tmp_path)
    assert origin_of({"origin": TOLD}, tmp_path) == Origin(**TOLD)


def test_of_a_training_begun_by_an_earlier_release_its_file_tells(tmp_path: Path) -> None:
    write_as_before(tmp_path)
    began = Origin("python -m imago_engine.training train '/pictures/of birds' --pictures 100", "b" * 64)
    assert origin_of({}, tmp_path) == began
    # Such a training that was resumed by a release that did not look into that file.
    assert origin_of({"origin": {"command": "", "warm_start": None}}, tmp_path) == began


def test_where_nobody_knows_any_more_nothing_is_said(tmp_path: Path) -> None:
    assert origin_of({}, tmp_path) == Origin()


def test_what_is_published_names_no_folder_of_the_machine() -> None:
    command = (
        "python -m imago_engine.training train birds '/data/of ours/x.npz' ../y.npz --run /home/me/birds"
    )
    assert Origin(command).published == "python -m imago_engine.training train birds x.npz y.npz --run birds"
