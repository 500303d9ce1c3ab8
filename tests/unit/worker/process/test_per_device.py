"""Which device each worker of a machine is told of."""

import pytest

from worker.process.per_device import NoSuchDevice, environment_of


@pytest.mark.parametrize(
    ("device", "before", "told"),
    [
        ("auto", {}, {"IMAGO_DEVICE": "auto"}),
        ("cpu:1", {}, {"IMAGO_DEVICE": "cpu"}),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "3"}, {"IMAGO_DEVICE": "cuda"}),
        ("cuda:1", {}, {"IMAGO_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": "1"}),
        (
            "cuda:1",
            {"CUDA_VISIBLE_DEVICES": "4,GPU-8a"},
            {"IMAGO_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": "GPU-8a"},
        ),
    ],
)
def test_a_worker_sees_its_own_device_only(device: str, before: dict[str, str], told: dict[str, str]) -> None:
    assert environment_of(device, before) == told


def test_a_device_that_is_hidden_is_named() -> None:
    with pytest.raises(NoSuchDevice, match="cuda:2 is not there: CUDA_VISIBLE_DEVICES is '4,5'"):
        environment_of("cuda:2", {"CUDA_VISIBLE_DEVICES": "4,5"})
