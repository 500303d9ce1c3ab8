"""`Retry-After` follows the estimates, within what makes sense."""

import pytest

from api.http.retry_after import seconds_until_progress, seconds_until_there
from services.estimates.cost_model import Seconds

DAY = 86_400.0


@pytest.mark.parametrize(
    ("low", "there", "progress"),
    [(0.1, 2, 2), (30.0, 30, 3), (600.0, 600, 60), (3 * DAY, 3600, 60)],
)
def test_nobody_is_asked_back_long_before_there_is_anything(low: float, there: int, progress: int) -> None:
    eta = Seconds(low, low * 1.2, low * 1.5)
    assert (seconds_until_there(eta), seconds_until_progress(eta)) == (there, progress)


def test_where_nothing_is_known_it_is_worth_asking_again_soon() -> None:
    assert (seconds_until_there(None), seconds_until_progress(None)) == (2, 2)
