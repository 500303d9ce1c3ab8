"""Replace HTTP calls in the server's error messages by the commands that make them."""

import re
from urllib.parse import unquote

_CALL = re.compile(r"\b(GET|POST|PATCH|PUT|DELETE) (/v1/[\w.~%/-]*[\w~%-])")
COMMANDS = (
    ("POST", r"/v1/jobs", "imago submit"),
    ("POST", r"/v1/jobs/([^/]+)/cancel", "imago cancel {}"),
    ("POST", r"/v1/jobs/([^/]+)/retry", "imago retry {}"),
    ("GET", r"/v1/jobs", "imago jobs"),
    ("GET", r"/v1/jobs/([^/]+)", "imago job {}"),
    ("POST", r"/v1/atlases", "imago build"),
    *(
        ("POST", rf"/v1/atlases/([^/]+)/{action}", f"imago {action} {{}}")
        for action in ("pause", "resume", "cancel", "retry", "extend", "publish")
    ),
    ("POST", r"/v1/atlases:import", "imago import"),
    ("GET", r"/v1/atlases", "imago atlases"),
    ("GET", r"/v1/atlases/([^/]+)", "imago atlas {}"),
    ("POST", r"/v1/generators", "imago train-generator"),
    ("GET", r"/v1/generators", "imago generators"),
    ("POST", r"/v1/trainings/([^/]+)/cancel", "imago training {} --cancel"),
    ("GET", r"/v1/trainings", "imago trainings"),
    ("GET", r"/v1/trainings/([^/]+)", "imago training {}"),
    ("DELETE", r"/v1/(?:jobs|atlases|trainings|generators)/([^/]+)", "imago delete {}"),
    ("POST", r"/v1/networks", "imago networks add"),
    ("GET", r"/v1/networks", "imago networks"),
    ("GET", r"/v1/networks/([^/]+)", "imago networks show {}"),
    ("GET", r"/v1/networks/([^/]+)/layers", "imago layers {}"),
    ("DELETE", r"/v1/networks/([^/]+)", "imago networks remove {}"),
    ("GET", r"/v1/techniques", "imago techniques"),
    ("GET", r"/v1/presets", "imago presets"),
    ("GET", r"/v1/queue", "imago queue"),
)
"""Method and path of each call that a command makes, and the command. What the path names comes after it."""


def in_commands(message: str) -> str:
    """The message with commands in place of the calls that they make. Calls without a command stay."""
    return _CALL.sub(_command, message)


def _command(call: re.Match[str]) -> str:
    for method, path, command in COMMANDS:
        if method == call[1] and (found := re.fullmatch(path, call[2])):
            return f"`{command.format(*map(unquote, found.groups()))}`"
    return call[0]
