"""Mean, standard deviation and least value of an encoder's codes over pictures."""

from collections.abc import Callable

from safetensors.torch import save_file

from imago_engine.training.data.left_out import LeftOut
from imago_engine.training.data.preparation import DataError, encoded_batches
from imago_engine.training.jobs.prepare import pictures_of, tell_left_out
from imago_engine.training.results.code_statistics import StatisticsOfCodes
from imago_engine.training.run.loading import load_encoder
from imago_engine.training.run.placement import place
from imago_engine.training_events import Measured, TrainingEvent
from imago_engine.training_jobs import BoundsJob


def measure_bounds(job: BoundsJob, tell: Callable[[TrainingEvent], None]) -> None:
    """Write them to `job.out`. Raises DataError where there are too few pictures."""
    chosen = job.encoder
    device = place(job.device).device
    encoder = load_encoder(chosen.network, chosen.layer, chosen.input_size, device, chosen.grid)
    gathered = StatisticsOfCodes(encoder.code_shape)
    left_out = LeftOut()
    for codes in encoded_batches(pictures_of(job.sources, job.reading, left_out), encoder, left_out):
        gathered.add(codes)
    tell_left_out(left_out, tell)
    try:
        statistics = gathered.result()
    except ValueError as error:
        raise DataError(str(error)) from error
    tensors = {"code_mean": statistics.mean, "code_std": statistics.std, "code_lower": statistics.lower}
    facts = {
        "encoder": encoder.network_id,
        "encoder_layer": encoder.layer,
        "encoder_sha256": encoder.weights_sha256,
        "encoder_input_size": str(encoder.input_size),
        "pictures": str(statistics.count),
    }
    save_file(tensors, job.out, facts)
    tell(
        Measured(
            pictures=statistics.count,
            code_shape=list(encoder.code_shape),
            mean=float(statistics.mean.mean()),
            deviation=float(statistics.std.mean()),
        )
    )
