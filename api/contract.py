"""The OpenAPI document: made from the views and their models, completed with what holds for all of them."""

import json
from functools import lru_cache
from typing import Any

from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.openapi import OpenAPI

from api.auth import SECURITY_SCHEME, scope_of
from api.problems import MEDIA_TYPE
from api.schemas.problem import ProblemDocument

VERSION = "0.1.0"
"""Of imago, as in pyproject.toml."""

INFO = Info(
    title="imago",
    version=VERSION,
    summary="The preferred inputs of neurons, computed once and served for good.",
    description=(
        "Submit a job for units of a vision network; each becomes a picture that the unit responds to most, "
        "under an address made of everything that determines it. Answers that are not a success are problem "
        "documents (RFC 9457)."
    ),
)
SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    SECURITY_SCHEME: SecurityScheme(
        type="http",
        scheme="bearer",
        description="A key, `imago_…`. Reading needs none unless the service says so.",
    )
}
_PROBLEM = {
    "description": "Not a success: a problem document.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}},
}


@lru_cache(maxsize=4)
def document(app: OpenAPI) -> dict[str, Any]:
    """The document of this application. Built from its routes; needs no server."""
    made: dict[str, Any] = json.loads(json.dumps(app.api_doc))
    views = _views_by_path(app)
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            view = views[path, method.upper()]
            # What clients that are made from the contract will call it.
            operation["operationId"] = view.__name__
            scope = scope_of(view)
            if scope == "read":
                operation["security"] = [{}, {SECURITY_SCHEME: []}]
            elif scope:
                operation["security"] = [{SECURITY_SCHEME: []}]
                operation["x-scope"] = scope
            if "description" in operation:
                operation["description"] = operation["description"].replace("<br/>", " ").strip()
            # flask-openapi3 adds its own idea of a validation error; ours holds for every failure.
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
    return made


def _views_by_path(app: OpenAPI) -> dict[tuple[str, str], Any]:
    return {
        (rule.rule.replace("<", "{").replace(">", "}"), method): app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def canonical(made: dict[str, Any]) -> str:
    """The same text for the same contract, so that a diff of openapi.json shows a change of the contract."""
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
