"""For schemathesis: half of what it generates is about things that exist.

Named by SCHEMATHESIS_HOOKS. Texts made at random name nothing, and would only ever meet a 404.
"""

from typing import Any

import schemathesis

from api.openapi import examples

_IN_PATHS = ("job", "training", "digest", "network", "layer", "unit", "generator", "pictures", "technique")


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the paths lead to what the examples name; which half is told by the path itself, so that the
    same seed makes the same requests.
    """
    if not path_parameters or sum(map(len, map(str, path_parameters.values()))) % 2:
        return path_parameters
    return {
        name: examples.parameter(name) if name in _IN_PATHS else value
        for name, value in path_parameters.items()
    }


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Jobs and trainings name the network there is, where they name one at all."""
    if isinstance(body, dict) and isinstance(body.get("network"), str) and len(body["network"]) % 2:
        return {**body, "network": examples.NETWORK}
    return body


@schemathesis.hook
def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """No request waits: a minute each would make the fuzz a matter of days."""
    if headers and "wait" in str(headers.get("Prefer", "")):
        return {**headers, "Prefer": "wait=0"}
    return headers
