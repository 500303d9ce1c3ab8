"""The OpenAPI document: made of the operations and their models, with what holds for all of them."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask

from api.auth import SECURITY_SCHEME
from api.http.rendering import LINES
from api.openapi import examples
from api.openapi.schemas import Schemas, component_of, schemas_of, without_null
from api.operations.operation import Operation, operation_of
from api.operations.reading import PARTS
from api.problems import problem_types
from api.problems.field_errors import Part
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


@lru_cache(maxsize=4)
def document(app: Flask) -> dict[str, Any]:
    """The document of this application. Built from its routes; needs no server."""
    operations = list(_operations(app))
    schemas, components = schemas_of([operation for _, operation in operations])
    shown = {name: examples.of_component(name, components) for name in components}
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for path, operation in operations:
        tags[operation.tag.name] = operation.tag.description
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, schemas, shown)
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


def _operations(app: Flask) -> Iterator[tuple[str, Operation]]:
    """Operations with their paths as OpenAPI writes them, in the order of declaration."""
    for rule in app.url_map.iter_rules():
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is not None:
            yield rule.rule.replace("<", "{").replace(">", "}"), operation


def _described(operation: Operation, schemas: Schemas, shown: Mapping[str, Any]) -> dict[str, Any]:
    summary, description = operation.texts
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "tags": [operation.tag.name],
        **_security(operation),
        "responses": _responses(operation, schemas, shown),
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
        if operation.example is not None:
            content["example"] = operation.example
        described["requestBody"] = {"content": {_JSON: content}, "required": True}
    return described


def _security(operation: Operation) -> dict[str, Any]:
    if operation.scope == "read":
        return {"security": [{}, {SECURITY_SCHEME: []}]}
    return {"security": [{SECURITY_SCHEME: []}], "x-scope": operation.scope}


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


def _responses(operation: Operation, schemas: Schemas, shown: Mapping[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in operation.responses.items():
        if isinstance(answer, type):
            schema = schemas[answer, "serialization"]
            content: dict[str, Any] = {_JSON: {"schema": schema, "example": shown[component_of(schema)]}}
            if operation.has_lines and status == HTTPStatus.OK:
                content[LINES] = {"schema": {"type": "string"}}
            responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
        else:
            responses[str(status)] = dict(answer)
    if operation.may_be_unchanged:
        responses["304"] = {"description": "What the client has is what there is."}
    for kind in operation.problems:
        responses[str(int(kind.status))] = {"$ref": f"#/components/responses/{kind.slug}"}
    return responses


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
