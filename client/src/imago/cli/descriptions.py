"""What the server says of the fields of requests, for the help of commands: written by `make openapi`."""

import json
from importlib.resources import files

_DESCRIBED: dict[str, dict[str, str]] = json.loads(
    files("imago.cli").joinpath("descriptions.json").read_text(encoding="utf-8")
)


def described(model: str, field: str) -> str:
    """A sentence; `model` is atlas, encoder, job, parameters, recipe, scan or training."""
    return _DESCRIBED[model][field]
