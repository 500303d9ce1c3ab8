"""What cannot be written as JSON is refused before anything is sent."""

from typing import Any

import numpy as np
import pytest

from imago.cli.named_values import named_value
from imago.errors import InvalidRequest
from imago.transport import Transport


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "caf\udce9", np.int64(3), {1}],
    ids=["nan", "inf", "text", "numpy", "set"],
)
def test_what_is_no_json_is_told_as_a_request_that_cannot_be(value: Any) -> None:
    with (
        Transport("http://127.0.0.1:1", None) as transport,
        pytest.raises(InvalidRequest, match="cannot be written as JSON"),
    ):
        transport.post("/v1/jobs", {"recipe": {"parameters": {"learning_rate": value}}})


def test_a_value_that_is_nested_too_deeply_to_be_json_is_a_text() -> None:
    assert named_value("--param", "a=" + "[" * 100_000, "a=1") == ("a", "[" * 100_000)
