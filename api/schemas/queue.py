"""The queue."""

from typing import Literal, Self

from pydantic import Field

from api.http.paths import path_to
from api.schemas.base import Representation, SelfLink
from api.schemas.estimates import EtaRange
from services.base.states import Lane
from services.queue.workers import QueueSummary, WorkerState


class LaneShown(Representation):
    name: Lane
    queued: int = Field(
        description="Items that wait: counted up to 10,000; of more what the jobs of the lane have left, in"
        " which an item that two of them want counts twice."
    )
    leased: int = Field(description="Items that are being computed.")


class TrainingsShown(Representation):
    queued: int = Field(description="Trainings that wait.")
    running: int = Field(description="Trainings that a worker has.")
    workers: int = Field(
        description="Workers that are alive and see pictures: those without a data root take no training."
    )


class WorkerShown(Representation):
    id: str
    device: str
    state: WorkerState = Field(
        description="`working` while it holds work, `waiting` while it takes none for a reason, `idle`, or"
        " `lost`: not seen for three of its heartbeats, half a minute at least."
    )
    reason: str | None = Field(
        description="Why it takes no work, for people to read; null while nothing keeps it from working."
    )


class Queue(Representation):
    id: Literal["queue"] = "queue"
    object: Literal["queue"] = "queue"
    lanes: list[LaneShown]
    trainings: TrainingsShown
    workers: int = Field(description="Workers that are alive.")
    worker_states: list[WorkerShown] = Field(
        description="Workers that were seen within the last hour and have not stopped."
    )
    rate: float = Field(description="Items a second that all of them ended over the last minute.")
    eta_seconds: float | None = Field(
        description="The likeliest time until all that waits has ended, told from what such work has cost"
        " before; null where nothing tells it."
    )
    eta_range: EtaRange | None = Field(description="Bounds of it, wide where kinds of work are new.")
    links: SelfLink

    @classmethod
    def of(cls, summary: QueueSummary) -> Self:
        """The queue as it is shown."""
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
            worker_states=[
                WorkerShown(id=worker.id, device=worker.device, state=worker.state, reason=worker.reason)
                for worker in summary.known
            ],
            rate=summary.rate,
            eta_seconds=summary.eta.likely if summary.eta else None,
            eta_range=EtaRange.of(summary.eta),
            links=SelfLink(self=path_to("queue")),
        )
