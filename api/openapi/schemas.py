"""The schemas of the OpenAPI document, made of the models of all operations at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from api.operations.operation import Operation
from api.schemas.problem import ProblemDocument

_FREE_OBJECT = {"type": "object", "additionalProperties": True}

Schemas = Mapping[tuple[type[BaseModel], JsonSchemaMode], dict[str, Any]]
"""The schema of each model as it is sent or answered: a reference into the components."""


class _Schema(GenerateJsonSchema):
    """Without titles: a model is called what its component is called, and what is made of the title of a
    field collides with a model of that name.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schemas_of(operations: Sequence[Operation]) -> tuple[Schemas, dict[str, Any]]:
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
        _name_free_objects(schema)
    components["JsonObject"] = {"description": "Any JSON object.", **_FREE_OBJECT}
    for container in containers:
        # Parameters stand one by one in their operations.
        schemas[container, "validation"] = components.pop(component_of(schemas[container, "validation"]))
    return schemas, components


def _name_free_objects(schema: Any) -> None:
    """Refer to one component wherever an object may have any members. What clients are made with gives each
    object that has no name one of its place, `JobRequest` for the `request` of a `Job`, and that may be
    another component's.
    """
    for name, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if isinstance(value, dict) and _FREE_OBJECT.items() <= value.items() and "properties" not in value:
            about = {key: value[key] for key in ("description", "default") if key in value}
            schema[name] = {"$ref": "#/components/schemas/JsonObject", **about}
        elif isinstance(value, dict | list):
            _name_free_objects(value)


def component_of(reference: Mapping[str, Any]) -> str:
    """The name of the component that a reference names."""
    return str(reference["$ref"]).rpartition("/")[2]


def without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter that has no value is left out: there is no way to write null in an address or a header."""
    found = dict(schema)
    branches = [branch for branch in found.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1:
        del found["anyOf"]
        found |= branches[0]
    if found.get("default", 0) is None:
        del found["default"]
    return found
