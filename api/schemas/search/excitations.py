"""What a photograph excites: the question and its answer."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Base64Bytes, Field

from api.http.paths import path_to
from api.schemas.base import Name, NoQuery, Representation, RequestModel, SelfLink, Time
from services.search import excitations


class AskExcitation(RequestModel):
    """A photograph, and the layer whose units it may excite."""

    network: Name = Field(description="Id of a network.")
    layer: Name = Field(description="Name of a layer; `output` is that of its logits.")
    photograph: Base64Bytes = Field(
        description=f"A JPEG, PNG or WebP of at most {excitations.MOST_BYTES} bytes, as base64. Its central "
        "square is looked at, and it is not kept."
    )


class ExcitationPath(RequestModel):
    """The address of what came of a photograph."""

    excitation: Name = Field(description="Id of an excitation.")


class ExcitationQuery(NoQuery):
    """Which units are shown."""

    min_percentile: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Only units that it excites more than so many of 100 real pictures that were scanned.",
    )


class Excited(Representation):
    """A unit that the photograph excites."""

    unit: int
    activation: float = Field(description="Its greatest response anywhere in the photograph.")
    percentile: float | None = Field(
        None,
        description="Of 100 real pictures so many excite the unit less, each at its strongest place; null "
        "where no scan watched the layer. The photograph is seen at the size at which the newest scan that "
        "did saw its pictures, without one at the network's own.",
    )


class Alike(Excited):
    """A unit with a picture that looks like the photograph."""

    similarity: float
    digest: str


class ExcitationError(Representation):
    code: str
    message: str


class Excitation(Representation):
    """What a photograph excites, once a worker has looked. Kept for an hour."""

    id: str
    object: Literal["excitation"] = "excitation"
    network: str
    layer: str
    state: Literal["queued", "done", "failed"]
    excited: list[Excited] = Field(description="Units by their response, the strongest first.")
    alike: list[Alike] = Field(description="Units by the likeness of their pictures, the likest first.")
    error: ExcitationError | None = Field(description="Why there is no answer, where `state` is failed.")
    created_at: Time
    expires_at: Time
    links: SelfLink

    @classmethod
    def of(cls, found: excitations.Excitation, min_percentile: float | None = None) -> Self:
        """The excitation as it is shown."""
        result: Mapping[str, Any] = found.result or {"excited": [], "alike": []}
        if min_percentile is not None:
            result = {
                name: [unit for unit in units if _stands_at(unit) >= min_percentile]
                for name, units in result.items()
            }
        return cls.model_validate(
            {
                "id": found.id,
                "network": found.network,
                "layer": found.layer,
                "state": found.state,
                **result,
                "error": found.error,
                "created_at": found.created_at,
                "expires_at": found.expires_at,
                "links": {"self": path_to("search", "excitations", found.id)},
            }
        )


def _stands_at(unit: Mapping[str, Any]) -> float:
    """Below all where nothing tells it."""
    percentile: float | None = unit.get("percentile")
    return -1 if percentile is None else percentile
