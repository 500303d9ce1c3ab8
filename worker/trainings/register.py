"""The end of a training: its generator in the store, then registered."""

from imago_engine.generators import read_description
from imago_engine.training_events import Exported
from services.base.storage import generator_key, sha256_of_file
from services.trainings import leases as training_leases
from services.trainings.leases import SameWeights
from worker.leasing.lease_renewal import LeaseLost
from worker.process.crash_points import crash_point
from worker.trainings.checkpoint import Checkpoints
from worker.trainings.claimed import ClaimedTraining
from worker.trainings.folder import TrainingFolder
from worker.trainings.process_state import ProcessState
from worker.trainings.report import Reporter
from worker.trainings.supervise import TrainingFailed


def register(
    training: ClaimedTraining,
    folder: TrainingFolder,
    exported: Exported,
    state: ProcessState,
    reporter: Reporter,
    checkpoints: Checkpoints,
) -> str:
    """Store what was exported and end the training; returns the generator's id. Until the last step nothing
    points to anything, so all can be repeated. Raises `LeaseLost`, `Unavailable`, or `TrainingFailed` where
    there is such a generator already.
    """
    generator, card = folder.path / exported.file, folder.path / exported.card
    info, sha256 = read_description(generator), sha256_of_file(generator)

    def store() -> str | None:
        training.store.put_file(generator_key(sha256), generator)
        card_key = checkpoints.put(card, "md", "text/markdown")
        logged, samples = checkpoints.put_log(), reporter.stored(state.samples)
        crash_point("training_stored")
        with training.database.session() as session:
            return training_leases.finish(
                session,
                training.claim,
                info=info,
                sha256=sha256,
                log=logged,
                card=card_key,
                progress=reporter.progress,
                samples=samples,
            )

    try:
        registered = training.insist(store, "finish")
    except SameWeights as error:
        raise TrainingFailed(str(error), explained=True) from error
    if registered is None:
        raise LeaseLost
    return registered
