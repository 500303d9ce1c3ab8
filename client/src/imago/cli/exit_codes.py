"""What the command's exit status tells a script. They are part of the interface and never change meaning."""

from enum import IntEnum

from imago.errors import ImagoError, InvalidRequest, NotAuthorized, NotFound, Unavailable, Unreachable


class ExitCode(IntEnum):
    """Exit statuses of `imago`."""

    OK = 0
    FAILED = 1
    """A job ended without all its pictures, or some could not be had, or something else went wrong."""
    USAGE = 2
    """The command line, or a value in it, was not accepted. Nothing was written."""
    NOT_FOUND = 3
    NOT_AUTHORIZED = 4
    UNREACHABLE = 5
    """No connection to the server, or it cannot serve now."""
    DETACHED = 130
    """Interrupted by Ctrl-C; a submitted job goes on."""


def exit_code_of(error: ImagoError) -> ExitCode:
    """The exit status that an error ends the command with."""
    match error:
        case InvalidRequest():
            return ExitCode.USAGE
        case NotFound():
            return ExitCode.NOT_FOUND
        case NotAuthorized():
            return ExitCode.NOT_AUTHORIZED
        case Unreachable() | Unavailable():
            return ExitCode.UNREACHABLE
        case _:
            return ExitCode.FAILED
