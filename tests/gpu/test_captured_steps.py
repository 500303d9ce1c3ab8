"""Steps of an ascent as one CUDA graph: the pictures of usual steps, faster, without a word to the host."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from imago_engine.synthesis import DgnAm, Generator, Item, Network, Picture, ascent, synthesize
from imago_engine.synthesis.computing.captured_step import WARM_UP, CapturedStep
from imago_engine.synthesis.groups import StepInputs
from imago_engine.techniques import technique_named

FEW, MANY = WARM_UP + 4, 60
GROUP = 32
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "T4": 65e12}
"""Dense operations a second in 16 bits, by their makers' data sheets."""


@pytest.fixture
def _whole_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `test_pictures`: else cuDNN rounds factors to 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.fixture
def _syncs_as_before() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[CapturedStep[StepInputs]]:
    """The steps that climbs have recorded."""
    found: list[CapturedStep[StepInputs]] = []
    original = CapturedStep._recording

    def noted(self: CapturedStep[Any], *arguments: Any) -> Any:
        found.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(CapturedStep, "_recording", noted)
    return found


def usual_steps(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ascent, "recorder_for", lambda device: None)


def recipe(generator: Generator, **changes: Any) -> DgnAm:
    return DgnAm(**{**generator.info.recommended, **changes})


def items(count: int) -> list[Item]:
    return [Item(unit=31 * n, seed=n) for n in range(count)]


@pytest.mark.usefixtures("_whole_float32")
@pytest.mark.parametrize("count", [3, GROUP + 5])
@pytest.mark.parametrize("layer", ["blocks.3", "output"])
def test_recorded_steps_lead_where_usual_ones_lead(
    layer: str,
    count: int,
    lite0: Network,
    shipped: Generator,
    device: torch.device,
    captured: list[CapturedStep[StepInputs]],
) -> None:
    wanted = [Item(item.unit % 40, item.seed) for item in items(count)]
    few = recipe(shipped, steps=FEW, precision="float32", learning_rate=0.005)
    with pytest.MonkeyPatch.context() as patch:
        usual_steps(patch)
        usual = synthesize(lite0, shipped, layer, wanted, few, device=device)
        assert not captured
    recorded = synthesize(lite0, shipped, layer, wanted, few, device=device)
    assert len(captured) == (1 if count <= GROUP else 2)
    for one, other in zip(recorded, usual, strict=True):
        assert one.trace == pytest.approx(other.trace, rel=0.02, abs=0.02)
        assert np.abs(one.image.astype(float) - other.image.astype(float)).mean() < 4
    # All steps are there, each its own.
    assert len({value for picture in recorded for value in picture.trace.tolist()}) > count * (FEW - 1)


@pytest.mark.parametrize("technique", ["fourier", "pixel"])
def test_steps_of_techniques_without_a_generator_are_recorded(
    technique: str, lite0: Network, device: torch.device, captured: list[CapturedStep[StepInputs]]
) -> None:
    parameters = technique_named(technique).Parameters(steps=FEW)
    with pytest.MonkeyPatch.context() as patch:
        usual_steps(patch)
        usual = synthesize(lite0, None, "blocks.2", items(2), parameters, device=device)
    recorded = synthesize(lite0, None, "blocks.2", items(2), parameters, device=device)
    assert captured
    for one, other in zip(recorded, usual, strict=True):
        assert one.trace == pytest.approx(other.trace, rel=0.1, abs=0.05)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_whole_climbs_by_recorded_steps_excite_their_units_as_usual_ones_do(
    precision: str,
    lite0: Network,
    shipped: Generator,
    device: torch.device,
    captured: list[CapturedStep[StepInputs]],
) -> None:
    def mean(pictures: list[Picture]) -> float:
        return float(np.mean([picture.activation for picture in pictures]))

    whole = recipe(shipped, precision=precision)
    recorded = synthesize(lite0, shipped, "output", items(GROUP), whole, device=device)
    assert captured
    with pytest.MonkeyPatch.context() as patch:
        usual_steps(patch)
        usual = synthesize(lite0, shipped, "output", items(GROUP), whole, device=device)
    assert mean(recorded) == pytest.approx(mean(usual), rel=0.15)


@pytest.mark.usefixtures("_syncs_as_before")
def test_no_step_but_the_first_and_one_more_waits_for_the_device(
    lite0: Network, shipped: Generator, device: torch.device, captured: list[CapturedStep[StepInputs]]
) -> None:
    waits = {0, ascent.PATIENCE - 1}  # whether a unit has a gradient, and what has never moved

    def on_step(done: int) -> None:
        # `done` is the number of the next step, counted from 0. Recording waits once, on purpose.
        recording = done in (WARM_UP, WARM_UP + 1)
        ends = done == MANY
        torch.cuda.set_sync_debug_mode("default" if done in waits or recording or ends else "error")

    synthesize(lite0, shipped, "output", items(4), recipe(shipped), device=device, on_step=on_step)
    assert captured


def test_recorded_steps_take_less_time_than_usual_ones_and_say_what_share_of_the_peak_they_reach(
    lite0: Network, shipped: Generator, device: torch.device, record_property: Any
) -> None:
    def seconds_a_step(size: int) -> float:
        """Of steps after the recording, the median of three climbs."""
        found: list[float] = []
        for _ in range(3):
            marks: list[float] = []

            def on_step(done: int, marks: list[float] = marks) -> None:
                if done in (ascent.PATIENCE + 1, MANY):
                    torch.cuda.synchronize()
                    marks.append(time.perf_counter())

            whole = recipe(shipped, steps=MANY, precision="bfloat16")
            synthesize(
                lite0, shipped, "output", items(size), whole, device=device, on_step=on_step, group_size=size
            )
            found.append((marks[1] - marks[0]) / (MANY - ascent.PATIENCE - 1))
        return sorted(found)[1]

    with pytest.MonkeyPatch.context() as patch:
        usual_steps(patch)
        usual = seconds_a_step(GROUP)
        counter = FlopCounterMode(display=False)  # of all that is computed, recorded or not
        first, second = (recipe(shipped, steps=steps, precision="bfloat16") for steps in (2, 4))
        operations = []
        for few in (first, second):
            with counter:
                synthesize(lite0, shipped, "output", items(GROUP), few, device=device, group_size=GROUP)
            operations.append(counter.get_total_flops())
    recorded = seconds_a_step(GROUP)
    rate = (operations[1] - operations[0]) / 2 / recorded
    name = torch.cuda.get_device_name(device)
    peak = next((value for model, value in PEAKS.items() if model in name), None)
    share = "unknown" if peak is None else f"{rate / peak:.1%}"
    said = (
        f"{name}: {GROUP / recorded:.0f} items and steps a second, usual {GROUP / usual:.0f}; "
        f"{rate / 1e12:.2f} TFLOP/s, of the peak {share}"
    )
    record_property("throughput", said)
    print(said)
    assert recorded < usual
