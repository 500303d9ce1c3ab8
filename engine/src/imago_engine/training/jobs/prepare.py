"""The first part of a training: its pictures and their codes, prepared in its folder."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from imago_engine.training.data.left_out import NAMED, LeftOut
from imago_engine.training.data.preparation import (
    INDEX,
    LEFT_OUT,
    DataError,
    Limits,
    PreparedIndex,
    load_prepared,
    prepare,
)
from imago_engine.training.data.sources import RawPicture, SourceLimits, open_source
from imago_engine.training.run.folder import PREPARED
from imago_engine.training.run.loading import load_encoder
from imago_engine.training.run.placement import Placement
from imago_engine.training_events import Encoded, Note, Phase, TrainingEvent
from imago_engine.training_events import LeftOut as LeftOutEvent
from imago_engine.training_jobs import DataPlan, Place, Reading

TOLD_EVERY = 6400
"""Pictures between reports; a multiple of the batch of the encoder."""
Tell = Callable[[TrainingEvent], None]


def prepare_data(plan: DataPlan, folder: Path, placement: Placement, tell: Tell) -> None:
    """Write `folder/prepared`, or see that the one that is there is what was asked for. One that is damaged
    is made again."""
    prepared = folder / PREPARED
    if (prepared / INDEX).exists():
        try:
            index = load_prepared(prepared).index
        except DataError as error:
            tell(Note(message=f"{error}; its pictures are prepared anew"))
        else:
            _check_prepared(plan, prepared, index)
            return
    tell(Phase(phase="preparing"))
    left_out = LeftOut()
    pictures = pictures_of(plan.sources, plan.reading, left_out)
    chosen = plan.encoder
    encoder = load_encoder(chosen.network, chosen.layer, chosen.input_size, placement.device, chosen.grid)
    started = time.monotonic()

    def on_progress(rows: int) -> None:
        if rows % TOLD_EVERY == 0:
            tell(Encoded(pictures=rows, rate=rows / (time.monotonic() - started)))

    prepare(
        prepared,
        pictures,
        encoder,
        image_size=plan.image_size,
        sources=tuple(source.path.name for source in plan.sources),
        limits=Limits(plan.held_out, plan.minimum, plan.corrupt_share),
        on_progress=on_progress,
        left_out=left_out,
    )
    tell_left_out(left_out, tell, listed=f"{PREPARED}/{LEFT_OUT}")


def pictures_of(sources: Sequence[Place], reading: Reading, left_out: LeftOut) -> Iterator[RawPicture]:
    """The pictures of all sources; `left_out` gets what cannot be had. Raises SourceError."""
    limits = SourceLimits(reading.largest_picture_mib * 2**20, reading.largest_archive_gib * 2**30)
    root = None if reading.data_root is None else reading.data_root.path
    return itertools.chain.from_iterable(
        [open_source(place.path, root=root, limits=limits, on_loss=left_out.add) for place in sources]
    )


def tell_left_out(left_out: LeftOut, tell: Tell, listed: str | None = None) -> None:
    """Tell how many there are and the first of them; `listed` is the file that names all."""
    if left_out.count:
        tell(LeftOutEvent(count=left_out.count, first=left_out.lines[:NAMED], listed=listed))


def _check_prepared(plan: DataPlan, prepared: Path, index: PreparedIndex) -> None:
    asked = {
        "encoder": plan.encoder.network,
        "encoder_layer": plan.encoder.layer,
        "encoder_grid": plan.encoder.grid,
        "image_size": plan.image_size,
        "encoder_input_size": plan.encoder.input_size or index.encoder_input_size,
    }
    found = {name: asdict(index)[name] for name in asked}
    if asked != found:
        raise DataError(
            f"{prepared} was prepared with {found}, not with {asked}; expected the same options, or another "
            "--run"
        )
