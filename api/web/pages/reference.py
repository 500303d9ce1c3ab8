"""The contract in short."""

from typing import Any

from flask import Response, make_response, render_template

from api.problems.problem_types import PROBLEM_TYPES


def reference(document: dict[str, Any]) -> Response:
    """Its operations by tag, and the kinds of problems."""
    groups = []
    for tag in document["tags"]:
        operations = [
            {**operation, "path": path, "method": method.upper()}
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
        groups.append((tag, operations))
    return make_response(
        render_template("docs/reference.html", document=document, groups=groups, problem_types=PROBLEM_TYPES)
    )
