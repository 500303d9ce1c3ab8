"""The short form of `make fuzz`: a few generated requests of each operation."""

from pathlib import Path

import pytest

from infra.local.servers import Servers
from tests.fuzz.__main__ import fuzz
from tests.own_settings import own_settings


@pytest.mark.thorough
def test_some_hundred_generated_requests_find_nothing(
    servers: Servers, migrated_template: str, tmp_path: Path
) -> None:
    with own_settings(servers, migrated_template) as settings:
        assert fuzz(settings, tmp_path, cases=120, seed=1, phases="examples,fuzzing") == 0
