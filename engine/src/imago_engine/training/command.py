"""`python -m imago_engine.training`: jobs from a file or from options. Only a job loads torch."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from imago_engine.training.command_line.arguments import build_parser
from imago_engine.training.command_line.job_of import job_of
from imago_engine.training.command_line.printer import Printer
from imago_engine.training.options import OptionsError
from imago_engine.training.run.tuning import restart_tuned
from imago_engine.training_events import EVENTS
from imago_engine.training_jobs import read_job
from imago_engine.validation import problems

DONE, FAILED, STOPPED = 0, 1, 130


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 done, 1 an error that was explained, 130 stopped by a signal (resume to go
    on). A job from a file tells all by its events; its status is 0 or not.
    """
    given = build_parser().parse_args(arguments)
    try:
        job = read_job(given.job) if given.command == "run" else job_of(given)
    except (OptionsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except ValidationError as error:
        what = f"{given.job} is not a job: " if given.command == "run" else ""
        print(f"error: {what}{_in_words(error)}", file=sys.stderr)
        return FAILED
    restart_tuned(arguments)
    from imago_engine.training.jobs.carry_out import carry_out
    from imago_engine.training.jobs.event_log import EventLog

    if given.command == "run":
        with closing(EventLog(_beside(given.job))) as events:
            return DONE if carry_out(job, events.tell) == "done" else FAILED
    outcome = carry_out(job, Printer().tell)
    return {"done": DONE, "failed": FAILED, "stopped": STOPPED}[outcome]


def _in_words(error: ValidationError) -> str:
    found = ((".".join(map(str, steps)), message) for steps, message in problems(error))
    return "; ".join(f"{steps}: {message}" if steps else message for steps, message in found)


def _beside(job: Path) -> Path:
    return job.with_name(EVENTS)
