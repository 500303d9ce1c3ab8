"""A whole training: prepare its pictures, begin or go on, export at the end."""

import shlex
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict
from typing import Any

import torch

from imago_engine.training.command_line.command_of import command_of
from imago_engine.training.data.preparation import DataError, load_prepared
from imago_engine.training.data.sources import SourceError
from imago_engine.training.distributed.processes import Processes, joined
from imago_engine.training.jobs.export import write_and_tell
from imago_engine.training.jobs.prepare import prepare_data
from imago_engine.training.recipes import preset_named, read_options
from imago_engine.training.recipes.warm_start import warm_start
from imago_engine.training.recipes.warm_start_checkpoint import facts_of_checkpoint
from imago_engine.training.results.journal import Journal
from imago_engine.training.run.checkpoint import CheckpointError, OtherData, read_facts
from imago_engine.training.run.folder import CHECKPOINT, PREPARED, occupied
from imago_engine.training.run.loading import new_training
from imago_engine.training.run.loop import Intervals, Run
from imago_engine.training.run.origin import Origin
from imago_engine.training.run.placement import Placement, place
from imago_engine.training.run.schedule import Schedule
from imago_engine.training.run.training import Training
from imago_engine.training_events import Begun, Note, Phase, Stopped, TrainingEvent
from imago_engine.training_jobs import GENERATOR, NewTraining, TrainJob

Tell = Callable[[TrainingEvent], None]


def train(job: TrainJob, tell: Tell) -> bool:
    """Returns False where a signal asked it to stop; its state is saved then. Of several processes the first
    alone writes, tells and exports.
    """
    folder, checkpoint = job.folder.path, job.folder.path / CHECKPOINT
    if job.begin is not None and checkpoint.exists():
        raise CheckpointError(
            f"{folder} already holds a training; go on with `python -m imago_engine.training resume {folder}`"
        )
    with joined() as processes, occupied(folder) if processes.leads else nullcontext():
        facts = read_facts(checkpoint) if job.begin is None else {}
        placement = place(job.device, job.precision or facts.get("precision", "float32"))
        if processes.leads and job.data is not None:
            try:
                prepare_data(job.data, folder, placement, tell)
            except (DataError, SourceError) as error:
                if job.begin is not None:
                    raise
                # It was begun with pictures that made a training set, and they may be there again.
                raise OtherData(str(error)) from error
        if placement.device.type == "cuda":
            # Pictures and batches are of one size: trying which algorithms are fastest pays at once.
            torch.backends.cudnn.benchmark = True
        processes.wait()
        if processes.leads:
            tell(Phase(phase="training"))
        if job.begin is not None:
            training = _begun(job, job.begin, placement, processes, tell)
        else:
            training = _resumed(job, facts, placement, processes)
        done = _run(training, job, tell)
        if done and processes.leads:
            tell(Phase(phase="exporting"))
            write_and_tell(folder, folder / GENERATOR, tell)
        return done


def _begun(
    job: TrainJob, begin: NewTraining, placement: Placement, processes: Processes, tell: Tell
) -> Training:
    prepared = load_prepared(job.folder.path / PREPARED)
    recipe = preset_named(begin.preset)
    settings = dict(begin.settings)
    settings |= _second_weights(job)
    options = recipe.completed(read_options(recipe.Options, settings), prepared.index)
    if begin.warm_start is not None and (facts := facts_of_checkpoint(begin.warm_start.path)) is not None:
        options = recipe.taking_over(options, facts.get("options", {}))
    (now,) = processes.agree([time.time()])
    schedule = Schedule(job.pictures or recipe.preset.pictures, started=now, deadline=_deadline(job))
    training = new_training(prepared, recipe, options, schedule, placement, processes, resident=job.resident)
    weights = None
    if begin.warm_start is not None:
        started_from = warm_start(training, begin.warm_start.path)
        weights = started_from.sha256
        if started_from.anew and processes.leads:
            anew = ", ".join(started_from.anew)
            tell(Note(message=f"{begin.warm_start.shown} has no fitting weights for {anew}: they start anew"))
    training.origin = Origin(f"python -m imago_engine.training {shlex.join(command_of(job))}", weights)
    return training


def _resumed(job: TrainJob, facts: dict[str, Any], placement: Placement, processes: Processes) -> Training:
    recipe = preset_named(facts.get("preset", "default"))
    training = new_training(
        load_prepared(job.folder.path / PREPARED),
        recipe,
        recipe.recorded_options({**facts["options"], **_second_weights(job)}),
        _resumed_schedule(Schedule(**facts["schedule"]), job, processes),
        placement,
        processes,
        resident=job.resident,
    )
    training.restore(job.folder.path / CHECKPOINT)
    return training


def _second_weights(job: TrainJob) -> dict[str, str]:
    """The option of a recipe where the job names the file: as it is found from anywhere on this machine."""
    return {} if job.second_weights is None else {"second_weights": str(job.second_weights.path.resolve())}


def _resumed_schedule(planned: Schedule, job: TrainJob, processes: Processes) -> Schedule:
    (now,) = processes.agree([time.time()])
    changes: dict[str, float | None] = {}
    deadline = _deadline(job)
    if deadline is not None:
        if deadline != planned.deadline:
            changes = {"started": now, "deadline": deadline}
    elif planned.deadline is not None and planned.deadline <= now:
        changes = {"started": None, "deadline": None}  # that time is over: only the plan in pictures counts
    if job.pictures is not None:
        changes["pictures"] = job.pictures
    return Schedule(**{**asdict(planned), **changes})


def _deadline(job: TrainJob) -> float | None:
    return None if job.until is None else job.until.timestamp()


def _run(training: Training, job: TrainJob, tell: Tell) -> bool:
    index, processes, folder = training.prepared.index, training.processes, job.folder.path
    intervals = Intervals(job.checkpoint_seconds, job.sample_seconds, job.log_seconds)
    if not processes.leads:
        return Run(training, folder, intervals, None).go()
    tell(
        Begun(
            pictures=training.pictures,
            train=index.train,
            held_out=index.held_out,
            corrupt=index.corrupt,
            computed_on=training.placement.description(processes.size),
        )
    )
    if job.resident or training.placement.device.type == "cuda":
        tell(Note(message=training.feed.residence))
    with closing(Journal(folder, tell)) as journal:
        done = Run(training, folder, intervals, journal).go()
    if not done:
        tell(Stopped(pictures=training.pictures))
    return done
