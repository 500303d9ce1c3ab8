"""Trainings of generators: what is submitted, how far it is, what came of it."""

from typing import Any, Literal, Self

from pydantic import Field

from api.http.paths import path_to
from api.schemas.base import (
    HeaderModel,
    Name,
    Page,
    PageQuery,
    Representation,
    RequestModel,
    SelfLink,
    Time,
    Whole,
    idempotency_key,
)
from services.base.states import TrainingState
from services.trainings.trainings import Sample, TrainingRequest, TrainingView


class TrainGenerator(RequestModel):
    """A generator that is to be trained."""

    name: str = Field(
        description="What it will be called: letters, digits, '.', '_' and '-', 120 at most.",
        examples=["birds-64"],
    )
    training: TrainingRequest


class TrainHeaders(HeaderModel):
    """The headers of a submission."""

    idempotency_key: str | None = idempotency_key("training")


class TrainingPath(RequestModel):
    """The address of a training."""

    training: Name = Field(description="Id of a training.")


class SamplePath(TrainingPath):
    """The address of a training's sample."""

    pictures: Whole = Field(ge=0, le=2**62, description="Pictures that it had seen.")


class TrainingListQuery(PageQuery):
    """Which trainings, and which page."""

    state: TrainingState | None = Field(None, description="Only trainings in this state.")


class SampleLinks(Representation):
    image: str | None = Field(
        description="Odd rows are held-out pictures, even rows what it makes of their codes."
    )


class TrainingSample(Representation):
    """What it could do on pictures that it does not learn from."""

    pictures: int
    held_out: dict[str, float] = Field(description="Errors; less is better.")
    created_at: Time
    links: SampleLinks

    @classmethod
    def of(cls, training: str, sample: Sample) -> Self:
        """The sample as it is shown."""
        image = path_to("trainings", training, "samples", sample.pictures, "image")
        return cls(
            pictures=sample.pictures,
            held_out=dict(sample.held_out),
            created_at=sample.at,
            links=SampleLinks(image=image if sample.image_object else None),
        )


class TrainingProgress(Representation):
    phase: Literal["preparing", "training", "exporting"] | None = Field(
        description="What its worker does; null while none has it."
    )
    pictures: int = Field(description="Seen so far, repeats included.")
    total: int | None = Field(description="To see in all; null where another end was asked for.")
    rate: float | None = Field(description="Pictures a second.")
    eta_seconds: float | None
    losses: dict[str, float] = Field(description="Means over the last steps.")


class TrainingError(Representation):
    code: str
    message: str


class TrainingLinks(SelfLink):
    generator: str | None = Field(description="Once it has succeeded.")
    log: str | None = Field(description="One JSON object a line, as of its last checkpoint.")
    card: str | None = Field(description="The generator's model card.")


class Training(Representation):
    id: str
    object: Literal["training"] = "training"
    name: str = Field(description="What the generator will be called.")
    state: TrainingState
    request: dict[str, Any]
    progress: TrainingProgress
    samples: list[TrainingSample] = Field(description="The latest, the newest first.")
    generator: str | None = Field(description="Id of the generator, once it has succeeded.")
    crashes: int = Field(description="Times that its process crashed; the third is the last.")
    error: TrainingError | None = Field(
        description="Why it failed; of one that waits, why the last worker to try could not go on with it."
    )
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    links: TrainingLinks

    @classmethod
    def of(cls, view: TrainingView) -> Self:
        """The training as it is shown."""
        path = path_to("trainings", view.id)
        return cls(
            id=view.id,
            name=view.name,
            state=view.state,
            request=dict(view.request),
            progress=TrainingProgress(
                phase=view.phase,
                pictures=view.pictures,
                total=view.total,
                rate=view.rate,
                eta_seconds=view.eta_seconds,
                losses=dict(view.losses),
            ),
            samples=[TrainingSample.of(view.id, sample) for sample in view.samples],
            generator=view.generator_id,
            crashes=view.crashes,
            error=TrainingError(**view.error) if view.error else None,
            created_at=view.created_at,
            started_at=view.started_at,
            finished_at=view.finished_at,
            links=TrainingLinks(
                self=path,
                generator=path_to("generators", view.generator_id) if view.generator_id else None,
                log=f"{path}/log" if view.log_object else None,
                card=f"{path}/card" if view.card_object else None,
            ),
        )


class TrainingPage(Page[Training]):
    pass
