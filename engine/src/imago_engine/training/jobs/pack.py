"""Pack a sample of the pictures of many sources into one file."""

from collections.abc import Callable

from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.packing import Packing, pack
from imago_engine.training.jobs.prepare import pictures_of, tell_left_out
from imago_engine.training.options import OptionsError
from imago_engine.training_events import Packed, TrainingEvent
from imago_engine.training_jobs import PackJob

TOLD_EVERY = 5000
"""Pictures between reports."""


def pack_pictures(job: PackJob, tell: Callable[[TrainingEvent], None]) -> None:
    """Write `job.out`. Raises OptionsError for a weight of no source and for two sources of one name,
    DataError where nothing is packed."""
    names = [place.path.name for place in job.sources]
    for name, place in zip(names, job.sources, strict=True):
        first = job.sources[names.index(name)]
        if place is not first:
            raise OptionsError(
                f"{first.shown} and {place.shown} have the same name, {name}, by which --weight and the "
                "packed set tell sources apart; rename one, or name a link to it"
            )
    unknown = job.weights.keys() - set(names)
    if unknown:
        raise OptionsError(
            f"--weight {sorted(unknown)[0]}: no source has this name; expected one of {', '.join(names)}"
        )
    left_out = LeftOut()

    def on_progress(seen: int, kept: int) -> None:
        if seen % TOLD_EVERY == 0:
            tell(Packed(seen=seen, pictures=kept))

    sources = [
        (name, job.weights.get(name, 1.0), pictures_of([place], job.reading, left_out))
        for name, place in zip(names, job.sources, strict=True)
    ]
    packing = Packing(job.mib * 2**20, job.size, job.quality, job.held_out, job.seed)
    packed = pack(job.out, sources, packing, left_out, on_progress)
    tell_left_out(left_out, tell)
    tell(
        Packed(
            pictures=packed.pictures,
            held_out=packed.held_out,
            by_source=packed.by_source,
            bytes=job.out.stat().st_size,
            file=str(job.out),
        )
    )
