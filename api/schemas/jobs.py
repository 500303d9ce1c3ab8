"""Jobs: what is submitted, how far it is, what came of it."""

from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from api.http.paths import job_page, job_path
from api.http.waiting import readable
from api.schemas.base import (
    HeaderModel,
    Name,
    Page,
    PageQuery,
    Representation,
    RequestModel,
    SelfLink,
    Time,
    idempotency_key,
)
from api.schemas.estimates import EtaRange
from api.schemas.networks import Look
from services.base.states import JobState, Lane
from services.jobs.progress import JobView


class JobPath(RequestModel):
    """The address of a job."""

    job: Name = Field(description="Id of a job.")


class JobListQuery(PageQuery):
    """Which jobs, and which page."""

    state: JobState | None = Field(None, description="Only jobs in this state.")
    atlas: Name | None = Field(
        None, description="Only jobs that build this atlas; without it, only jobs that build none."
    )


class PreferHeaders(HeaderModel):
    """How long the client is ready to wait."""

    prefer: Annotated[str | None, AfterValidator(readable)] = Field(
        None,
        alias="Prefer",
        max_length=1000,
        description="`wait=N` holds the answer back until the job has ended, at most N (≤ 60) seconds.",
    )


class SubmitHeaders(PreferHeaders):
    """The headers of a submission."""

    idempotency_key: str | None = idempotency_key("job")


class Units(Representation):
    """Items by what became of them; all but `cached` add up to `total`."""

    total: int
    done: int
    failed: int
    unreachable: int = Field(
        description="No picture can exist: nothing that is done to a picture moves the unit."
    )
    canceled: int
    queued: int
    leased: int = Field(description="Being computed.")
    cached: int = Field(description="Known before the job was submitted.")


class Progress(Representation):
    units: Units
    rate: float | None = Field(description="Items a second over the last minute.")
    eta_seconds: float | None = Field(
        description="The likeliest time until all of it has ended, told from what such work has cost before;"
        " null where nothing tells it: no worker is alive, or none has ever done anything."
    )
    eta_range: EtaRange | None = Field(
        description="Bounds of it: narrow for kinds of work that were done before, wide for new ones."
    )
    look: Look | None = Field(
        description="While a worker looks at the network with the job's generator for the first time: how far"
        " that is. Pictures wait for it, but for those of layers that the generator's codes lead to."
    )


class QueuePlace(Representation):
    position: int = Field(description="1 for the job whose turn is next.")
    ahead_units: int = Field(description="Items whose turn is before its first.")


class ErrorSummary(Representation):
    code: str
    count: int
    message: str = Field(description="Of one of the items that failed so.")


class JobLinks(SelfLink):
    visualizations: str
    page: str = Field(description="For people.")


class Job(Representation):
    id: str
    object: Literal["job"] = "job"
    state: JobState
    lane: Lane
    network: str
    request: dict[str, Any] = Field(
        description="As submitted, with what it left open settled: the generator, and the recipe of each"
        " target as it is used; `recipe` is theirs where they share one, else as submitted."
    )
    progress: Progress
    queue: QueuePlace | None = Field(description="While nothing of it has been claimed.")
    errors: list[ErrorSummary] = Field(description="Why items failed, the commonest first.")
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    links: JobLinks

    @classmethod
    def of(cls, job: JobView) -> Self:
        """The job as it is shown."""
        return cls(
            id=job.id,
            state=job.state,
            lane=job.lane,
            network=str(job.request["network"]),
            request=dict(job.request),
            progress=Progress(
                units=Units(**asdict(job.units)),
                rate=job.rate,
                eta_seconds=job.eta.likely if job.eta else None,
                eta_range=EtaRange.of(job.eta),
                look=Look.of(job.look),
            ),
            queue=QueuePlace(position=job.queue.position + 1, ahead_units=job.queue.ahead_units)
            if job.queue
            else None,
            errors=[ErrorSummary(**asdict(error)) for error in job.errors],
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            links=JobLinks(
                self=job_path(job.id),
                visualizations=f"{job_path(job.id)}/visualizations",
                page=job_page(job.id),
            ),
        )


class JobPage(Page[Job]):
    pass
