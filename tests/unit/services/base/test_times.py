"""Moments that a request names: read as RFC 3339, near, in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from services.base.times import Moment, not_in_the_future

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31t14:00:00.5+02:00", datetime(2030, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2030-01-31 12:00:00.123456789z", datetime(2030, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_utc(given: str, meant: datetime) -> None:
    for read in (
        MOMENT.validate_python(given),
        MOMENT.validate_json(f'"{given}"', strict=True),
        MOMENT.validate_python(meant),
    ):
        assert read == meant
        assert read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "given",
    [
        0,
        4e9,
        True,
        None,
        "",
        "0",
        "1e10",
        "2030-01-31",
        "2030-01-31T12:00",
        "2030-01-31T12:00:00",
        "2030-02-31T12:00:00Z",
        "2030-01-31T25:00:00Z",
        "2030-01-31T12:00:00+99:00",
        "20300131T120000Z",
        "٢٠٣٠-01-31T12:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        "2999-01-01T00:00:00Z",
        datetime(2030, 1, 31),
    ],
)
def test_what_is_no_moment_or_far_away_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(given)


def test_an_end_must_be_ahead() -> None:
    now = datetime.now(UTC)
    assert not_in_the_future(now + timedelta(minutes=1)) is None
    assert "future" in (not_in_the_future(now) or "")
