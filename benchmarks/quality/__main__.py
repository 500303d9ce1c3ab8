"""`python -m benchmarks.quality [grid | layers | hidden | candidates | reconstruct] …`"""

import os
import sys

from imago_engine.training.run.tuning import SETTINGS


def main(arguments: list[str]) -> None:
    missing = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    if missing and sys.platform == "linux":
        # Memory and threads are set up as for training; they count only from the start of a process.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.quality", *arguments],
            {**os.environ, **missing},
        )
    from benchmarks.quality import (
        candidates_command,
        grid,
        reconstruct_command,
        table_command,
    )
    from benchmarks.quality.hidden import command as hidden_command
    from benchmarks.quality.layers import command as layers_command

    if arguments[:1] == ["grid"]:
        grid.run(arguments[1:], table_command.DEFAULT_GENERATOR, table_command.CACHE)
    elif arguments[:1] == ["layers"]:
        layers_command.run(arguments[1:], table_command.DEFAULT_GENERATOR, table_command.CACHE)
    elif arguments[:1] == ["hidden"]:
        result = table_command.RESULT.with_name("hidden.json")
        hidden_command.run(arguments[1:], table_command.DEFAULT_GENERATOR, result, table_command.CACHE)
    elif arguments[:1] == ["candidates"]:
        candidates_command.run(arguments[1:])
    elif arguments[:1] == ["reconstruct"]:
        reconstruct_command.run(arguments[1:])
    else:
        table_command.run(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
