"""Running one server as another user where we are root, as in most containers."""

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

from infra.local.processes.process import ProcessError

_NAME = "nobody"  # on every Unix, so nothing is added to the machine


def user_id() -> int:
    """The id of the user that takes root's place."""
    return pwd.getpwnam(_NAME).pw_uid


def grant(user: int, *, reads: Path, owns: Path) -> None:
    """Let the user run the program `reads` and write in the folder `owns`, without opening anything else.

    Folders on the way that others may not enter, such as /root, become enterable but not readable
    (o+x), and the change is announced. Raises ProcessError when the program still cannot be run.
    """
    for path in (reads, owns):
        for folder in reversed(path.resolve().parents):
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH:
                print(f"chmod o+x {folder}: PostgreSQL runs as user {_NAME} and has to pass", file=sys.stderr)
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
    os.chown(owns, user, user)
    try:
        subprocess.run(
            [str(reads), "--version"],
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProcessError(
            f"PostgreSQL does not run as root, and user {_NAME} cannot run {reads} ({error}). "
            "Put the virtual environment where every user may read it, or start imago as another user."
        ) from error
