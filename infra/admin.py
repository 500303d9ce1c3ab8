"""`python -m infra.admin COMMAND`: for whoever runs an imago, on a machine that has its settings.

Exit status 1 tells of things that are lost, by a command that has done all its work; 2 that it has not.
"""

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from infra import backup, restore, scrub
from infra.archive import ArchiveError
from services.base.database import Database
from services.base.errors import ImagoError
from services.base.settings import Settings, SettingsError
from services.catalog import generators


def main() -> int:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m infra.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    saving = commands.add_parser("backup", help="copy database and store into a folder")
    saving.add_argument(
        "folder", type=Path, help="made if it is not there; a backup that was cut off goes on"
    )
    bringing = commands.add_parser("restore", help="fill an empty database and store from a backup")
    bringing.add_argument("folder", type=Path, help="what `backup` has written")
    scrubbing = commands.add_parser("scrub", help="compare all objects with their hashes now")
    scrubbing.add_argument("--collect", action="store_true", help="also remove what nothing points to")
    choosing = commands.add_parser("default", help="have jobs that name no generator use this one")
    choosing.add_argument("generator", help="its id, as `imago generators` lists it")
    given = parser.parse_args()
    run: dict[str, Callable[[Settings], int]] = {
        "backup": lambda settings: backup.back_up(settings, given.folder),
        "restore": lambda settings: restore.restore(settings, given.folder),
        "scrub": lambda settings: scrub.scrub_everything(settings, collect=given.collect),
        "default": lambda settings: _choose_default(settings, given.generator),
    }
    try:
        return run[given.command](Settings())
    except (ImagoError, SettingsError, ArchiveError) as error:
        return _not_done(str(error))
    except OSError as error:
        return _not_done(f"A file cannot be read or written: {error}.")
    except (psycopg.Error, SQLAlchemyError) as error:
        return _not_done(f"The database does not do what it is asked: {error}")
    except KeyboardInterrupt:
        return 130
    except Exception:
        # Python's own exit status would be 1, which says that all was done.
        return _not_done(traceback.format_exc())


def _choose_default(settings: Settings, name: str) -> int:
    with Database.opened(settings.database_url, pool_size=1) as database, database.session() as session:
        chosen = generators.make_default(session, name)
    print(f"{chosen.id} is the default generator.")
    return 0


def _not_done(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
