"""Examples for the OpenAPI document, made of its schemas so that they cannot become untrue: whatever field is
added has one. What a name stands for is the same everywhere.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from imago_engine.objectives import objective_at
from imago_engine.specs import Recipe, Spec

JOB = "job_01kb5e8r7w3m9x2q4t6v8y0z1a"
ATLAS = "atl_01kb5e8r7w3m9x2q4t6v8y0z1c"
TRAINING = "trn_01kb5e8r7w3m9x2q4t6v8y0z1b"
SCAN = "scn_01kb5e8r7w3m9x2q4t6v8y0z1c"
EXCITATION = "exc_01kb5e8r7w3m9x2q4t6v8y0z1c"
KEY = "k3y0fm1n"
DIGEST = "6f1c2e7b9d4a8035c1e6f27a4b90d83e5c7f1a26b8d94e03f5a7c1b2d6e8f904"
NETWORK, LAYER, UNIT = "efficientnet_lite0.imagenet", "classifier", 207
GENERATOR = "birds-64"
_SHA256 = "0f3b" * 16
_MOMENT = "2026-11-28T12:00:00Z"
_UNIT_PATH = f"/v1/networks/{NETWORK}/layers/{LAYER}/units/{UNIT}"

JOB_BODY = {
    "network": NETWORK,
    "targets": [{"layer": LAYER, "units": "0-11,207"}],
    "recipe": {"technique": "dgn-am", "parameters": {"steps": 100}},
    "seeds": [0, 1],
    "lane": "bulk",
}
ATLAS_BODY = {
    "network": NETWORK,
    "name": "EfficientNet-lite0",
    "layers": ["classifier"],
    "units": "0-11,207",
    "facets": 1,
    "visibility": "public",
}
NETWORK_BODY = {"id": "resnet18.a1_in1k"}
GENERATOR_BODY = {
    "name": "flowers-64",
    "training": {"sources": ["flowers", "more/flowers.tar"], "pictures": 100_000, "image_size": 64},
}
SCAN_BODY = {
    "network": NETWORK,
    "sources": ["photographs", "more/photographs.tar"],
    "layers": "bn2,classifier",
}
_WHITE_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
EXCITATION_BODY = {
    "network": NETWORK,
    "layer": LAYER,
    "photograph": _WHITE_PNG,
}
_RECIPE = Recipe("dgn-am", {"steps": 60})
KEY_BODY = {"name": "notebook", "scopes": ["read", "jobs:write"], "expires_at": "2100-01-31T12:00:00Z"}

_PARAMETERS: Mapping[str, Any] = {
    "job": JOB,
    "atlas": ATLAS,
    "version": "latest",
    "training": TRAINING,
    "scan": SCAN,
    "rank": 0,
    "excitation": EXCITATION,
    "key": KEY,
    "digest": DIGEST,
    "network": NETWORK,
    "layer": LAYER,
    "unit": UNIT,
    "units": "0-11,207",
    "generator": GENERATOR,
    "pictures": 1000,
    "preset": "default",
    "technique": "dgn-am",
    "limit": 20,
    "view": "full",
    "size": 128,
    "format": "webp",
    "facet": 0,
    "label": "golden retriever",
    "prefix": "golden",
    "other": NETWORK,
    "a": f"{ATLAS}@1",
    "b": f"{ATLAS}@open",
    "within": "layer",
    "level": 0,
    "tile": "0_0",
    "places": "0:207",
    "region": "full",
    "extent": "max",
    "Prefer": "wait=1",
    "Idempotency-Key": "report-of-november",
}
_FIELDS: Mapping[str, Any] = {
    **_PARAMETERS,
    "digest": DIGEST,
    "label": "golden retriever",
    "labels": ["tench", "goldfish"],
    "architecture": "efficientnet_lite0",
    "architectures": ["compact"],
    "encoder": NETWORK,
    "code_shape": [1280, 2, 2],
    "image_size": 128,
    "source": "efficientnet-lite",
    "kind": "output",
    "scopes": ["read", "jobs:write"],
    "name": "birds-64",
    "prefix": f"imago_{KEY}",
    "token": f"imago_{KEY}_" + "x" * 43,
    "engine": "1",
    "units": "0-11,207",
    "sources": ["birds"],
    "request_id": "req_0123456789abcdef0123",
    "generator_sha256": _SHA256,
    "activation": 14.5,
    "probability": 0.97,
    "type": "/docs#problem-not-found",
    "title": "There is no such thing",
    "status": 404,
    "detail": f"There is no job {JOB!r}.",
    "pointer": "/targets/0/units",
    "message": "CUDA ran out of memory",
    "code": "out_of_memory",
}
_IDS = {
    "Job": JOB,
    "Atlas": ATLAS,
    "AtlasImport": ATLAS,
    "AtlasEntry": DIGEST,
    "AtlasLayer": f"{ATLAS}/{LAYER}",
    "AtlasVersion": f"{ATLAS}/1",
    "AtlasVersionDetail": f"{ATLAS}/1",
    "AtlasUnit": f"{NETWORK}/{LAYER}/{UNIT}",
    "Training": TRAINING,
    "Scan": SCAN,
    "Key": KEY,
    "NewKey": KEY,
    "Me": KEY,
    "Network": NETWORK,
    "Generator": GENERATOR,
    "Layer": f"{NETWORK}/{LAYER}",
    "Unit": f"{NETWORK}/{LAYER}/{UNIT}",
    "UnitDetail": f"{NETWORK}/{LAYER}/{UNIT}",
    "UnitExemplars": f"{NETWORK}/{LAYER}/{UNIT}",
    "Item": DIGEST,
    "JobItem": DIGEST,
    "Visualization": DIGEST,
    "Preset": "default",
    "FoundUnit": f"{NETWORK}/{LAYER}/{UNIT}",
    "Neighbour": f"{NETWORK}/{LAYER}/{UNIT}",
    "Excitation": EXCITATION,
    "Technique": "dgn-am",
    "RegisterNetwork": "resnet18.a1_in1k",
}
_LINKS = {
    "AtlasLinks": f"/v1/atlases/{ATLAS}",
    "AtlasVersionLinks": f"/v1/atlases/{ATLAS}/versions/1",
    "FacetLinks": f"/v1/visualizations/{DIGEST}",
    "AtlasImportLinks": f"/v1/atlases/{ATLAS}",
    "MapLinks": f"/v1/atlases/{ATLAS}/versions/1/map",
    "MappedUnitLinks": _UNIT_PATH,
    "JobLinks": f"/v1/jobs/{JOB}",
    "TrainingLinks": f"/v1/trainings/{TRAINING}",
    "ScanLinks": f"/v1/scans/{SCAN}",
    "ExemplarLinks": f"{_UNIT_PATH}/exemplars/0",
    "NetworkLinks": f"/v1/networks/{NETWORK}",
    "LayerLinks": f"/v1/networks/{NETWORK}/layers/{LAYER}",
    "UnitLinks": _UNIT_PATH,
    "ItemLinks": f"/v1/visualizations/{DIGEST}",
    "VisualizationLinks": f"/v1/visualizations/{DIGEST}",
}


def manifest() -> dict[str, Any]:
    """Of an exported atlas with one picture."""
    generator = {
        "id": "compact-32",
        "weights_sha256": _SHA256,
        "architecture": "compact",
        "code_shape": [16],
        "image_size": 32,
        "encoder": NETWORK,
    }
    layer = {
        "layer": LAYER,
        "ordinal": 1,
        "units": str(UNIT),
        "unit_count": 1,
        "shown_units": 1,
        "facets": 1,
        **_RECIPE.as_json(),
        "generator": generator["id"],
        "pictures": 1,
        "unreachable": 0,
        "lines": 1,
        "in_network": {"ordinal": 1, "kind": "output", "units": 1000, "role": "output"},
    }
    return {
        "format": "imago-atlas",
        "format_version": 1,
        "atlas": ATLAS,
        "version": 1,
        "name": "A golden retriever",
        "network": NETWORK,
        "network_sha256": _SHA256,
        "layers": [layer],
        "recipes": {_RECIPE.digest: _RECIPE.as_json()},
        "generators": [generator],
        "entries": 1,
        "pictures": 1,
    }


def entries() -> dict[str, Any]:
    """The picture of that atlas."""
    picture = base64.b64decode(_WHITE_PNG)
    spec = Spec(
        network=NETWORK,
        network_sha256=_SHA256,
        objective=objective_at(LAYER, UNIT),
        technique=_RECIPE.technique,
        parameters=_RECIPE.parameters,
        seed=0,
        version="1",
        source=_SHA256,
    )
    entry = {
        "layer": LAYER,
        "unit": UNIT,
        "facet": 0,
        "digest": spec.digest,
        "state": "done",
        "seed": 0,
        "recipe": _RECIPE.digest,
        "generator_sha256": _SHA256,
        "engine": "1",
        "activation": 14.5,
        "sha256": hashlib.sha256(picture).hexdigest(),
        "content": _WHITE_PNG,
    }
    return {"first": 0, "entries": [entry]}


def parameter(name: str) -> Any:
    """An example of a parameter, None for one that is best left out."""
    return _PARAMETERS.get(name)


def of_component(name: str, components: Mapping[str, Any]) -> Any:
    """An example of a component of the document."""
    return _of(components[name], components, name, "")


def _of(schema: Mapping[str, Any], components: Mapping[str, Any], model: str, field: str) -> Any:
    """`model` and `field`: whose value it is."""
    for stated in ("const", "examples", "enum"):
        if stated in schema:
            return schema[stated] if stated == "const" else schema[stated][0]
    if "$ref" in schema:
        inner = str(schema["$ref"]).rpartition("/")[2]
        return _of(components[inner], components, inner, field)
    named = _named(model, field)
    if named is not None and _is_of_type(named, schema):
        return named
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
        # What may be null is shown as null: an error beside a picture would say nothing true.
        return None if len(branches) < len(schema["anyOf"]) else _of(branches[0], components, model, field)
    match schema.get("type"):
        case "object":
            described: Mapping[str, Any] = schema.get("properties", {})
            return {name: _of(value, components, model, name) for name, value in described.items()}
        case "array":
            entries = schema.get("prefixItems") or [schema.get("items", {})]
            return [_of(entry, components, model, field) for entry in entries]
        case "integer":
            return schema.get("minimum", 1)
        case "number":
            return 0.5
        case "boolean":
            return False
        case "string" if schema.get("format") == "date-time":
            return _MOMENT
        case "string" if "sha256" in field:
            return _SHA256
    return schema.get("default", "text")


def _named(model: str, field: str) -> Any:
    if field == "id":
        return _IDS.get(model)
    if model in _LINKS or model == "SelfLink":
        own = _LINKS.get(model, "/v1/queue")
        others = {"self": own, "page": own.removeprefix("/v1"), "export": f"{own}/export.tar"}
        return others.get(field, f"{own}/{field}")
    return _FIELDS.get(field)


_TYPES: Mapping[Any, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
}


def _is_of_type(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a field of this name means the same here: `units` is a count here and a text there."""
    types = {schema.get("type"), *(branch.get("type") for branch in schema.get("anyOf", []))}
    return any(isinstance(value, _TYPES[kind]) for kind in types if kind in _TYPES)
