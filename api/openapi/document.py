"""The OpenAPI document: made of the operations and their models, with what holds for all of them."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask

from api.auth import SECURITY_SCHEME, scope_of
from api.openapi import examples
from api.openapi.schemas import Schemas, component_of, schemas_of, without_null
from api.operations.operation import Operation, operation_of
from api.operations.reading import PARTS
from api.problems import problem_types
from api.problems.field_errors import Part
from api.problems.problem_types import ProblemType
from api.problems.problems import MEDIA_TYPE
from api.schemas.problem import ProblemDocument
from imago_engine.version import __version__

INFO = {
    "title": "imago",
    "version": __version__,
    "summary": "The preferred inputs of neurons, computed once and served for good.",
    "description": (
        "Submit a job for units of a vision network; each becomes a picture that the unit responds to most, "
        "under an address made of everything that determines it. Answers that are not a success are problem "
        "documents (RFC 9457)."
    ),
}
SECURITY_SCHEMES = {
    SECURITY_SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, `imago_…`. Reading needs none unless the service says so.",
    }
}
SERVERS = [
    {"url": "/", "description": "The service that this document comes from."},
    {"url": "http://127.0.0.1:8000", "description": "A service of one's own, as `make up` starts it."},
]
_JSON = "application/json"
_NAMES = {"network", "generator"}
"""Parameters of a query that name what may not be there."""


@lru_cache(maxsize=4)
def document(app: Flask) -> dict[str, Any]:
    """The document of this application. Built from its routes; needs no server."""
    operations = list(_operations(app))
    schemas, components = schemas_of([operation for _, _, operation in operations])
    shown = {name: examples.of_component(name, components) for name in components}
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for path, method, operation in operations:
        tags[operation.tag.name] = operation.tag.description
        paths.setdefault(path, {})[method] = _described(method, operation, schemas, shown)
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": SERVERS,
        "tags": [{"name": name, "description": description} for name, description in tags.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": _problems(schemas, shown),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def canonical(made: dict[str, Any]) -> str:
    """The same text for the same contract, so that a diff of openapi.json shows a change of the contract."""
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _operations(app: Flask) -> Iterator[tuple[str, str, Operation]]:
    """Path as OpenAPI writes it, method in small letters, operation; in the order of declaration."""
    for rule in app.url_map.iter_rules():
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is not None:
            path = rule.rule.replace("<", "{").replace(">", "}")
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), operation


def _described(
    method: str, operation: Operation, schemas: Schemas, shown: Mapping[str, Any]
) -> dict[str, Any]:
    summary, description = operation.texts
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "tags": [operation.tag.name],
        **_security(operation),
        "responses": _responses(method, operation, schemas, shown),
    }
    if description:
        described["description"] = description
    parameters = [
        parameter
        for part in PARTS
        if part != "body" and part in operation.models
        for parameter in _parameters(part, schemas[operation.models[part], "validation"])
    ]
    if parameters:
        described["parameters"] = parameters
    if body := operation.models.get("body"):
        content: dict[str, Any] = {"schema": schemas[body, "validation"]}
        if operation.name in examples.BODIES:
            content["example"] = examples.BODIES[operation.name]
        described["requestBody"] = {"content": {_JSON: content}, "required": True}
    return described


def _security(operation: Operation) -> dict[str, Any]:
    scope = scope_of(operation.view)
    if scope == "read":
        return {"security": [{}, {SECURITY_SCHEME: []}]}
    if scope:
        return {"security": [{SECURITY_SCHEME: []}], "x-scope": scope}
    return {}


def _parameters(part: Part, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        described = without_null(described)
        parameter: dict[str, Any] = {"in": part, "name": name, "required": name in required}
        if "description" in described:
            parameter["description"] = described.pop("description")
        parameter["schema"] = described
        if (example := examples.parameter(name)) is not None:
            parameter["example"] = example
        yield parameter


def _responses(
    method: str, operation: Operation, schemas: Schemas, shown: Mapping[str, Any]
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in operation.responses.items():
        if isinstance(answer, type):
            schema = schemas[answer, "serialization"]
            content = {_JSON: {"schema": schema, "example": shown[component_of(schema)]}}
            responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
        else:
            responses[str(status)] = dict(answer)
    if method == "get" and operation.may_be_unchanged:
        responses["304"] = {"description": "What the client has is what there is."}
    for kind in _failures(method, operation):
        responses[str(int(kind.status))] = {"$ref": f"#/components/responses/{kind.slug}"}
    return responses


def _failures(method: str, operation: Operation) -> Iterator[ProblemType]:
    """The problems that an operation can answer with, known by what it reads and writes."""
    scope, models = scope_of(operation.view), operation.models
    if "body" in models:
        yield from (problem_types.MALFORMED, problem_types.TOO_LARGE, problem_types.UNSUPPORTED_MEDIA_TYPE)
    if scope is not None:
        yield problem_types.UNAUTHENTICATED
    if scope not in (None, "authenticated"):
        yield problem_types.FORBIDDEN
    if "path" in models or _NAMES & models.get("query", ProblemDocument).model_fields.keys():
        yield problem_types.NOT_FOUND
    if method != "get":
        yield problem_types.CONFLICT
    yield from (
        problem_types.REQUEST_TIMEOUT,
        problem_types.TARGET_TOO_LONG,
        problem_types.HEADERS_TOO_LARGE,
        problem_types.NOT_ACCEPTABLE,
        problem_types.INVALID,
        problem_types.INTERNAL,
        problem_types.UNAVAILABLE,
    )


def _problems(schemas: Schemas, shown: Mapping[str, Any]) -> dict[str, Any]:
    schema = schemas[ProblemDocument, "serialization"]
    example = shown[component_of(schema)]
    return {
        kind.slug: {
            "description": f"{kind.title}. {kind.meaning}",
            "content": {
                MEDIA_TYPE: {
                    "schema": schema,
                    "example": {
                        **example,
                        "type": kind.uri,
                        "title": kind.title,
                        "status": int(kind.status),
                        "detail": kind.meaning,
                    },
                }
            },
        }
        for kind in problem_types.PROBLEM_TYPES
    }
