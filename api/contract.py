"""The OpenAPI document: made of the operations and their models, with what holds for all of them."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from api.auth import SECURITY_SCHEME, scope_of
from api.field_errors import Part
from api.operation import Operation, operation_of
from api.problems import MEDIA_TYPE
from api.reading import PARTS
from api.schemas.problem import ProblemDocument

VERSION = "0.1.0"
"""Of imago, as in pyproject.toml."""

INFO = {
    "title": "imago",
    "version": VERSION,
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
_JSON = "application/json"

Schemas = Mapping[tuple[type[BaseModel], JsonSchemaMode], dict[str, Any]]
"""The schema of each model as it is sent or answered: a reference into the components."""


class _Schema(GenerateJsonSchema):
    """Without titles: a model is called what its component is called, and what is made of the title of a
    field collides with a model of that name.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@lru_cache(maxsize=4)
def document(app: Flask) -> dict[str, Any]:
    """The document of this application. Built from its routes; needs no server."""
    operations = list(_operations(app))
    schemas, components = _schemas([operation for _, _, operation in operations])
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for path, method, operation in operations:
        tags[operation.tag.name] = operation.tag.description
        paths.setdefault(path, {})[method] = _described(operation, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "tags": [{"name": name, "description": description} for name, description in tags.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY_SCHEMES},
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


def _schemas(operations: list[Operation]) -> tuple[Schemas, dict[str, Any]]:
    """The schemas of all models, and the components that they refer to. Two models of one name become two
    components, with longer names.
    """
    modes: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemDocument, "serialization"): None}
    containers = set()
    for operation in operations:
        for part, model in operation.models.items():
            modes[model, "validation"] = None
            if part != "body":
                containers.add(model)
        for answer in operation.responses.values():
            if isinstance(answer, type):
                modes[answer, "serialization"] = None
    made, definitions = models_json_schema(
        list(modes), ref_template="#/components/schemas/{model}", schema_generator=_Schema
    )
    schemas, components = dict(zip(modes, made.values(), strict=True)), definitions["$defs"]
    for schema in components.values():
        schema.pop("title", None)
    for container in containers:
        # Parameters stand one by one in their operations.
        schemas[container, "validation"] = components.pop(_component(schemas[container, "validation"]))
    return schemas, components


def _component(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _described(operation: Operation, schemas: Schemas, components: Mapping[str, Any]) -> dict[str, Any]:
    summary, description = operation.texts
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "tags": [operation.tag.name],
        **_security(operation),
        "responses": _responses(operation, schemas),
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
    scope = scope_of(operation.view)
    if scope == "read":
        return {"security": [{}, {SECURITY_SCHEME: []}]}
    if scope:
        return {"security": [{SECURITY_SCHEME: []}], "x-scope": scope}
    return {}


def _parameters(part: Part, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        described = _without_null(described)
        parameter: dict[str, Any] = {"in": part, "name": name, "required": name in required}
        if "description" in described:
            parameter["description"] = described.pop("description")
        parameter["schema"] = described
        yield parameter


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter that has no value is left out: there is no way to write null in an address or a header."""
    found = dict(schema)
    branches = [branch for branch in found.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1:
        del found["anyOf"]
        found |= branches[0]
    if found.get("default", 0) is None:
        del found["default"]
    return found


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in operation.responses.items():
        if isinstance(answer, type):
            content = {_JSON: {"schema": schemas[answer, "serialization"]}}
            responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
        else:
            responses[str(status)] = dict(answer)
    problem = {MEDIA_TYPE: {"schema": schemas[ProblemDocument, "serialization"]}}
    responses["default"] = {"description": "Not a success: a problem document.", "content": problem}
    return responses
