import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from imago_engine.training.command_line.printer import Printer
from imago_engine.training.recipes import OptionsError
from imago_engine.training.results.journal import Journal
from imago_engine.training.run import placement
from imago_engine.training.run.checkpoint import (
    CheckpointError,
    NotWritten,
    OtherData,
    read_checkpoint,
    read_facts,
    write_atomically,
)
from imago_engine.training.run.loop import Diverged, Intervals, Run
from imago_engine.training.run.placement import Placement, PlacementError, place
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training

SmallTraining = Callable[..., Training]
EVERY_STEP = Intervals(checkpoint=0, sample=1e9, log=0)


def run_until(training: Training, folder: Path, pictures: int) -> list[str]:
    """What was said."""
    said: list[str] = []
    training.schedule = Schedule(pictures=pictures, warmup=0)
    journal = Journal(folder, Printer(said.append).tell)
    try:
        Run(training, folder, EVERY_STEP, journal).go()
    finally:
        journal.close()
    return said


def test_a_full_disk_loses_neither_the_last_checkpoint_nor_the_run(
    small_training: SmallTraining,
    tmp_path: Path,
    file_size_limit: Callable[[int], AbstractContextManager[None]],
) -> None:
    training = small_training()
    run_until(training, tmp_path, 16)
    with file_size_limit(1 << 12), pytest.raises(NotWritten, match=r"cannot write .*/checkpoint"):
        run_until(training, tmp_path, 32)
    assert training.pictures == 32  # it went on training: there could have been room again
    assert read_facts(tmp_path / "checkpoint.safetensors")["step"] == 2
    again = small_training()
    again.restore(tmp_path / "checkpoint.safetensors")
    said = run_until(again, tmp_path, 24)
    assert not any("warning" in line for line in said)
    assert read_facts(tmp_path / "checkpoint.safetensors")["step"] == 3


def test_a_log_that_cannot_be_written_is_a_warning(small_training: SmallTraining, tmp_path: Path) -> None:
    training = small_training()
    (tmp_path / "log.jsonl").mkdir()
    (tmp_path / "tensorboard").write_text("in the way")
    said = run_until(training, tmp_path, 16)
    assert sum("its log cannot be written" in line for line in said) >= 4
    assert read_facts(tmp_path / "checkpoint.safetensors")["step"] == 2


def test_losses_that_are_no_numbers_end_the_run_before_they_are_saved(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    training = small_training()
    run_until(training, tmp_path, 8)
    with torch.no_grad():
        next(training.recipe.modules["generator"].parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="no longer numbers after 16 pictures"):
        run_until(training, tmp_path, 80)
    assert read_facts(tmp_path / "checkpoint.safetensors")["step"] == 1


def test_a_checkpoint_that_was_cut_short_is_a_clear_error(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    training = small_training()
    training.save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="is not a checkpoint of a training"):
        training.restore(path)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"data_by_pictures": "other"}, "belongs to other data"),
        ({"data_by_pictures": None, "data": "other"}, "belongs to other data"),
        ({"preset": "deepsim"}, "is of preset deepsim, not default"),
    ],
)
def test_a_checkpoint_of_another_training_is_a_clear_error(
    small_training: SmallTraining, tmp_path: Path, facts: dict[str, str], message: str
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    training = small_training()
    training.save(path)
    tensors, own = read_checkpoint(path)
    write_atomically(path, tensors, {"facts": json.dumps(own | facts)})
    with pytest.raises(CheckpointError, match=message):
        training.restore(path)


def test_a_training_goes_on_where_codes_differ_in_their_last_bits_as_those_of_another_device_do(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    training = small_training()
    training.step()
    training.save(path)
    elsewhere = small_training()
    codes = elsewhere.prepared.codes * (1 + 1e-6)
    assert (codes != elsewhere.prepared.codes).any()
    elsewhere.prepared = replace(elsewhere.prepared, codes=codes)
    elsewhere.restore(path)
    assert elsewhere.step_number == 1


def test_earlier_releases_find_in_a_checkpoint_the_fingerprint_that_they_know(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    training = small_training()
    training.save(path)
    facts = read_checkpoint(path)[1]
    assert facts["data"] == training.prepared.former_fingerprint
    tensors, own = read_checkpoint(path)
    del own["data_by_pictures"]  # as an earlier release saves it again
    write_atomically(path, tensors, {"facts": json.dumps(own)})
    training.restore(path)


def test_checkpoints_that_know_their_data_by_the_bits_of_codes_are_read(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    training = small_training()
    prepared = training.prepared
    training.prepared = replace(prepared, index=replace(prepared.index, pictures_sha256=None))
    training.save(path)
    small_training().restore(path)
    training.restore(path)
    training.prepared = replace(training.prepared, codes=prepared.codes * (1 + 1e-3))
    with pytest.raises(OtherData, match="belongs to other data"):
        training.restore(path)


def test_a_checkpoint_of_other_networks_is_a_clear_error(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    small_training().save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(CheckpointError, match="does not fit this training"):
        small_training(widths=(16, 16, 8)).restore(tmp_path / "checkpoint.safetensors")


def test_checkpoints_from_before_presets_are_read(small_training: SmallTraining, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    training = small_training()
    training.step()
    training.save(path)
    tensors, facts = read_checkpoint(path)
    old = {name: facts[name] for name in ("step", "seconds", "options", "schedule")}
    del old["options"]["texture_weight"]
    write_atomically(path, tensors, {"facts": json.dumps(old)})
    again = small_training()
    again.restore(path)
    assert again.step_number == 1
    assert training.recipe.recorded_options(old["options"]) == training.recipe.options


def test_a_training_of_an_earlier_release_goes_on_without_losses_that_came_later(
    small_training: SmallTraining,
) -> None:
    recipe = small_training().recipe
    old = recipe.options.model_dump()
    for later in ("pattern_weight", "smooth", "refined", "blind"):
        del old[later]
    again = recipe.recorded_options(old)
    assert (again.pattern_weight, again.smooth, again.refined, again.blind) == (0, False, False, False)
    assert recipe.options.pattern_weight > 0  # type: ignore[attr-defined]


def test_a_checkpoint_names_no_option_that_earlier_releases_do_not_know_where_it_means_what_they_do(
    small_training: SmallTraining,
) -> None:
    later = ("pattern_weight", "smooth", "refined", "blind", "second_sha256")
    old = small_training(pattern_weight=0.0, smooth=False, refined=False, blind=False).recipe
    facts = old.facts_of_options()
    assert not facts.keys() & set(later)
    assert old.recorded_options(facts) == old.options
    new = small_training(smooth=True).recipe
    assert new.facts_of_options().keys() & set(later) == {"pattern_weight", "smooth"}
    assert new.recorded_options(new.facts_of_options()) == new.options


def test_bfloat16_changes_the_arithmetic_and_not_the_weights(small_training: SmallTraining) -> None:
    exact = {name: float(loss) for name, loss in small_training().step().items()}
    training = small_training(placement=Placement(torch.device("cpu"), "bfloat16"))
    rough = training.step()
    assert {loss.dtype for loss in rough.values()} == {torch.float32}
    assert {p.dtype for p in training.recipe.modules["generator"].parameters()} == {torch.float32}
    for name, loss in rough.items():
        assert float(loss) == pytest.approx(exact[name], rel=0.1, abs=0.05)
    assert any(float(loss) != exact[name] for name, loss in rough.items())


@pytest.mark.parametrize("has_units", [True, False])
def test_a_device_without_units_for_bfloat16_computes_in_float32_and_says_so(
    small_training: SmallTraining, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_units: bool
) -> None:
    monkeypatch.setattr(placement, "has_bfloat16_units", lambda device: has_units)
    placed = place("cpu", "bfloat16")
    with placed.autocast():
        assert torch.is_autocast_enabled("cpu") == has_units
    said = placed.description(1)
    assert said.endswith(", bfloat16" if has_units else ", float32, for it has no units for bfloat16")
    small_training(placement=placed).save(tmp_path / "checkpoint")
    facts = read_facts(tmp_path / "checkpoint")
    assert facts["precision"] == "bfloat16", "elsewhere it goes on in bfloat16"


def test_options_that_make_no_training_are_refused(small_training: SmallTraining) -> None:
    with pytest.raises(OptionsError, match="a batch of 55 needs as many pictures, got 54"):
        small_training(batch=55)
    with pytest.raises(OptionsError, match="--batch: should be greater than or equal to 2; got 1"):
        small_training(batch=1)


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert place("auto").device.type == "cpu"
    with pytest.raises(PlacementError, match="finds no CUDA device; expected auto or cpu"):
        place("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(PlacementError, match=r"process 3 of this machine has no device.*at most 2"):
        place("auto")
