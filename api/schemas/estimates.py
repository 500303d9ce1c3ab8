"""Estimates of the time left."""

from typing import Self

from pydantic import Field

from api.schemas.base import Representation
from services.estimates.cost_model import Seconds


class EtaRange(Representation):
    """Seconds; the end hardly comes before `low` or after `high`."""

    low: float = Field(ge=0)
    high: float = Field(ge=0)

    @classmethod
    def of(cls, eta: Seconds | None) -> Self | None:
        """The bounds of an estimate, None where there is none."""
        return None if eta is None else cls(low=eta.low, high=eta.high)
