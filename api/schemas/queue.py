"""The queue."""

from typing import Literal, Self

from pydantic import Field

from api.paths import path_to
from api.schemas.base import Representation, SelfLink
from api.schemas.estimates import EtaRange
from services.schema import Lane
from services.workers import QueueSummary


class LaneShown(Representation):
    name: Lane
    queued: int = Field(description="Items that wait; counted up to 100,000.")
    leased: int = Field(description="Items that are being computed.")


class TrainingsShown(Representation):
    queued: int = Field(description="Trainings that wait.")
    running: int = Field(description="Trainings that a worker has.")
    workers: int = Field(
        description="Workers that are alive and see pictures: those without a data root take no training."
    )


class Queue(Representation):
    id: Literal["queue"] = "queue"
    object: Literal["queue"] = "queue"
    lanes: list[LaneShown]
    trainings: TrainingsShown
    workers: int = Field(description="Workers that are alive.")
    rate: float = Field(description="Items a second that all of them ended over the last minute.")
    eta_seconds: float | None = Field(
        description="The likeliest time until all that waits has ended, told from what such work has cost"
        " before; null where nothing tells it."
    )
    eta_range: EtaRange | None = Field(description="Bounds of it, wide where kinds of work are new.")
    links: SelfLink

    @classmethod
    def of(cls, summary: QueueSummary) -> Self:
        return cls(
            lanes=[
                LaneShown(name=lane.lane, queued=lane.queued, leased=lane.leased) for lane in summary.lanes
            ],
            trainings=TrainingsShown(
                queued=summary.trainings.queued,
                running=summary.trainings.running,
                workers=summary.trainings.workers,
            ),
            workers=summary.workers,
            rate=summary.rate,
            eta_seconds=summary.eta.likely if summary.eta else None,
            eta_range=EtaRange.of(summary.eta),
            links=SelfLink(self=path_to("queue")),
        )
