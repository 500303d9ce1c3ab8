"""A dozen architectures with little in common: each works or is refused in words, with the right output."""

from pathlib import Path

import pytest
import torch

from benchmarks.networks import report, state
from benchmarks.networks.architectures import all_of_them
from benchmarks.networks.processes import Processes
from benchmarks.networks.trial import Trial, attempt


@pytest.fixture(autouse=True)
def _same_numbers_afterwards() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("id", "outcome", "sizes"),
    [
        ("timm:test_resnet", "works", "8–"),
        ("timm:test_convnext", "works", "32–"),
        ("timm:test_byobnet", "works", "8–"),
        ("timm:test_nfnet", "works", "8–"),
        ("timm:test_mambaout", "works", "8–"),
        ("timm:test_vit", "works", "16–, steps of 16"),
        ("timm:test_vit3", "works", "its own only"),
        ("timm:mixer_s32_224", "works", "its own only"),
        ("timm:levit_128s", "no output", "209–224"),
        ("timm:dla46_c", "works", "32–, steps of 32"),
        ("torchvision:squeezenet1_1", "works", "17–"),
        ("torchvision:shufflenet_v2_x0_5", "works", "8–"),
        ("torchvision:mnasnet0_5", "works", "8–"),
    ],
)
def test_unlike_networks_work_or_say_why_not(tmp_path: Path, id: str, outcome: str, sizes: str) -> None:
    trial = attempt(id, tmp_path)
    assert (trial.outcome, trial.sizes) == (outcome, sizes), trial


def test_an_architecture_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    trial = attempt("torchvision:no_such_network", tmp_path)
    assert trial.outcome == "refused"
    assert "no_such_network" in trial.why


def test_a_sweep_sees_something_of_every_family_first_and_goes_on_where_it_was(tmp_path: Path) -> None:
    first = all_of_them()[:110]
    assert {id.partition(":")[0] for id in first} == {"torchvision", "timm"}
    assert sum("vit" in id for id in first) < len(first) / 2
    log = tmp_path / "state.jsonl"
    trial = Trial("timm:a", "works", "", 1, 64, "32–", 3, "fc", 0.1)
    state.append(log, trial)
    with log.open("a") as file:
        file.write('{"id": "timm:b", "outc')  # ended in the midst of a line
    assert state.read(log) == {"timm:a": trial}
    report.write(tmp_path / "networks.md", [trial], ["timm:a", "timm:b"], 120, 8)
    page = (tmp_path / "networks.md").read_text()
    assert "1 of the 2 architectures have been tried so far: works 1." in page


def test_a_trial_that_takes_too_much_is_ended() -> None:
    assert Processes(seconds=0.0, memory=8).attempt("timm:test_resnet").why == "not done after 0 s"
    too_large = Processes(seconds=120, memory=0.01).attempt("timm:test_resnet")
    assert (too_large.outcome, too_large.why) == ("not tried", "takes more than 0.01 GB")
