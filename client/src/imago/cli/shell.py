"""The group of all commands: an error ends as a sentence and a documented exit status, not as a traceback."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from imago.cli.exit_codes import ExitCode, exit_code_of
from imago.cli.session import Session, write_all_that_can_be_written
from imago.errors import ImagoError, InvalidRequest


class WordsByLabel(TyperGroup):
    """The group `search`: a word that is no command of it is looked for, `search volcano` as `search label
    volcano`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names, else `label`."""
        is_word = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        return super().resolve_command(ctx, ["label", *args] if is_word else args)


class Commands(TyperGroup):
    """A command group that turns exceptions into messages. IMAGO_DEBUG=1 shows tracebacks instead."""

    def main(self, args: Sequence[str] | None = None, *named: Any, **settings: Any) -> Any:
        """Run a command line, by default this program's; does not return. Of a wrong one typer tells people;
        programs are told here."""
        write_all_that_can_be_written()
        given = sys.argv[1:] if args is None else list(args)
        if "--json" not in given:
            return super().main(args, *named, **settings)
        try:
            status = super().main(args, *named, **{**settings, "standalone_mode": False})
        except typer.Abort:
            status = ExitCode.FAILED
            Session(as_json=True).show_error(ImagoError("Aborted."), status)
        except typer.TyperException as error:
            status = error.exit_code
            Session(as_json=True).show_error(InvalidRequest(error.format_message()), status)
        sys.exit(status)

    def invoke(self, ctx: Any) -> Any:
        """Run the command named on the command line."""
        try:
            return super().invoke(ctx)
        except ImagoError as error:
            code, shown = exit_code_of(error), error
        except KeyboardInterrupt:
            code, shown = ExitCode.DETACHED, ImagoError("Interrupted.")
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone: `imago jobs | head`
                raise
            code, shown = ExitCode.FAILED, ImagoError(str(error))
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:
            if os.environ.get("IMAGO_DEBUG"):
                raise
            what = f"{type(error).__name__}: {error}"
            code = ExitCode.FAILED
            shown = ImagoError(f"Something unexpected happened ({what}). IMAGO_DEBUG=1 shows where.")
        session = ctx.obj if isinstance(ctx.obj, Session) else Session()
        session.show_error(shown, code)
        raise typer.Exit(code)
