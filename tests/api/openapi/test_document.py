"""The OpenAPI document: its examples are true, and what is made of it works."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel

from api.application import build
from api.openapi.document import document
from services.base.database import Database
from services.base.storage import ObjectStore
from tests.api.openapi import example_state

CONTRACT = document(build())
OPERATIONS = [
    (method, path, operation)
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
]


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON that the document describes, with a name for each place."""
    for _, _, operation in OPERATIONS:
        name = operation["operationId"]
        if "requestBody" in operation:
            yield f"{name} body", operation["requestBody"]["content"]["application/json"]
        for status, response in operation["responses"].items():
            found = response
            if "$ref" in response:
                found = CONTRACT["components"]["responses"][response["$ref"].rpartition("/")[2]]
            for media_type, content in found.get("content", {}).items():
                if media_type in JSON:
                    yield f"{name} {status}", content


JSON = ("application/json", "application/problem+json")
CONTENTS = dict(contents())


def test_every_operation_has_an_example_and_the_document_says_where_it_is_served() -> None:
    assert CONTRACT["servers"]
    assert CONTENTS
    assert all("example" in content for content in CONTENTS.values())
    for _, path, operation in OPERATIONS:
        shown = {parameter["name"] for parameter in operation.get("parameters", []) if "example" in parameter}
        assert {*re.findall(r"{(\w+)}", path)} <= shown


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    whole = {**schema, "components": CONTRACT["components"]}
    validator = Draft202012Validator(whole, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message:.200}" for error in validator.iter_errors(value)]


def test_every_example_is_what_its_schema_says() -> None:
    for name, content in CONTENTS.items():
        assert not faults(content["schema"], content["example"]), name
    for _, _, operation in OPERATIONS:
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                assert not faults(parameter["schema"], parameter["example"]), operation["operationId"]


def test_no_object_without_a_name_would_get_that_of_a_component() -> None:
    """Makers of clients call an object that has no name after its place."""
    names = CONTRACT["components"]["schemas"]
    places = {
        f"{name}_{field}".replace("_", "").lower(): described
        for name, schema in names.items()
        for field, described in schema.get("properties", {}).items()
    }
    for name in names:
        place = places.get(name.lower(), {})
        assert "object" not in {place.get("type"), *(way.get("type") for way in place.get("anyOf", []))}, name


def test_what_an_operation_can_answer_is_named_status_by_status() -> None:
    for method, path, operation in OPERATIONS:
        statuses = set(operation["responses"])
        assert {"401", "406", "422", "500", "503"} <= statuses
        assert "default" not in statuses
        assert ("{" in path) <= ("404" in statuses)
        assert ("requestBody" in operation) == ({"400", "413", "415"} <= statuses), (method, path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What datamodel-code-generator makes of the document."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "openapi.json").write_text(json.dumps(CONTRACT))
    command = [sys.executable, "-W", "ignore", "-m", "datamodel_code_generator"]
    command += ["--input", "openapi.json", "--input-file-type", "openapi", "--output", "made_models.py"]
    command += ["--output-model-type", "pydantic_v2.BaseModel", "--target-python-version", "3.11"]
    subprocess.run(command, cwd=folder, check=True, timeout=300)
    spec = importlib.util.spec_from_file_location("made_models", folder / "made_models.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["made_models"] = module
    spec.loader.exec_module(module)
    return module


def test_models_made_of_the_document_accept_every_example(models: ModuleType) -> None:
    for name, content in CONTENTS.items():
        model: type[BaseModel] = getattr(models, content["schema"]["$ref"].rpartition("/")[2])
        read = model.model_validate(content["example"])
        assert (
            read.model_dump(mode="json", by_alias=True, exclude_unset=True).keys()
            == content["example"].keys()
        ), name


@pytest.fixture
def admin(app: Flask, database: Database, store: ObjectStore, tmp_path: Path) -> FlaskClient:
    return example_state.build(app, database, store, tmp_path)


def test_every_example_is_answered_as_the_document_says(admin: FlaskClient) -> None:
    """Each operation with the parameters and the body of its example; what removes things comes last."""
    answers: dict[str, int] = {}
    for method, path, operation in sorted(OPERATIONS, key=lambda entry: entry[0] == "delete"):
        address = path
        query: dict[str, Any] = {}
        headers: dict[str, Any] = {}
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                name, value = parameter["name"], parameter["example"]
                address = address.replace("{" + name + "}", quote(str(value), safe=""))
                query |= {name: value} if parameter["in"] == "query" else {}
                headers |= {name: value} if parameter["in"] == "header" else {}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        answer = admin.open(address, method=method, query_string=query, headers=headers, json=body)
        name = operation["operationId"]
        answers[name] = answer.status_code
        check_answer(operation, answer)
    # What has ended cannot be canceled or paused, and what others rest on cannot be removed.
    refused = {name for name, status in answers.items() if status >= 400}
    jobs = {"retry_job", "cancel_job", "cancel_training", "cancel_scan"}
    atlases = {"retry_atlas", "publish_atlas", "import_entries", "pause_atlas", "cancel_atlas"}
    assert refused <= {*jobs, *atlases, "remove_network", "remove_generator"}, answers
    assert all(answers[name] == 409 for name in refused)


def check_answer(operation: dict[str, Any], answer: Any) -> None:
    name = operation["operationId"]
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, (name, answer.status_code, answer.text)
    if "$ref" in described:
        described = CONTRACT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    content = described.get("content", {})
    if not content:
        assert not answer.data
        return
    assert answer.mimetype in content, name
    if answer.mimetype in JSON:
        assert not faults(content[answer.mimetype]["schema"], answer.get_json()), name
