"""What IIIF viewers are told is what the specifications ask for: Image API 3.0 (sections 4 and 5, level 0)
and Presentation API 3.0 (sections 3 to 5, the required properties of each class)."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from services.sheets import iiif
from services.sheets.layout import Layout, Strip

ADDRESS = "https://example.org/v1/atlases/atl_1/versions/1"
SERVICE = f"{ADDRESS}/poster/iiif"
LAYOUTS = {
    "one cell": Layout.of_layer(1),
    "less than a tile": Layout.of_layer(7),
    "some tiles": Layout.of_layer(100),
    "larger than one picture": Layout.of_layer(4321),
    "poster": Layout.of_poster([Strip("stem", 32), Strip("blocks.0", 5), Strip("head", 1280)]),
    "long and narrow": Layout.of_poster([Strip(f"layer {n}", 1) for n in range(400)]),
}
_COUNT = {"type": "integer", "minimum": 1}
_SIZE = {"type": "object", "required": ["width", "height"], "properties": {"width": _COUNT, "height": _COUNT}}
INFO = {
    "type": "object",
    "required": ["@context", "id", "type", "protocol", "profile", "width", "height"],
    "properties": {
        "@context": {"const": "http://iiif.io/api/image/3/context.json"},
        "id": {"type": "string", "pattern": "^https?://.*[^/]$"},
        "type": {"const": "ImageService3"},
        "protocol": {"const": "http://iiif.io/api/image"},
        "profile": {"const": "level0"},
        "width": _COUNT,
        "height": _COUNT,
        "maxWidth": _COUNT,
        "maxHeight": _COUNT,
        "sizes": {"type": "array", "items": _SIZE},
        "tiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["width", "scaleFactors"],
                "properties": {
                    "width": _COUNT,
                    "height": _COUNT,
                    "scaleFactors": {"type": "array", "minItems": 1, "uniqueItems": True, "items": _COUNT},
                },
            },
        },
    },
    "dependentRequired": {"maxHeight": ["maxWidth"]},
    "additionalProperties": False,
}
_URI = {"type": "string", "pattern": "^https?://"}
_WORDS = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"pattern": "^([a-zA-Z]+(-[a-zA-Z0-9]+)*|none)$"},
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
}


def _class(type: str, required: str, **properties: Any) -> dict[str, Any]:
    named = {"id": _URI, "type": {"const": type}, **properties}
    return {
        "type": "object",
        "required": ["id", "type", *required.split()],
        "properties": named,
        "additionalProperties": False,
    }


def _many(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


_SERVICE = _class("ImageService3", "profile", profile={"const": "level0"})
_IMAGE = _class(
    "Image",
    "format",
    format={"const": "image/jpeg"},
    width=_COUNT,
    height=_COUNT,
    service=_many(_SERVICE),
)
_ANNOTATION = _class(
    "Annotation", "motivation body target", motivation={"const": "painting"}, body=_IMAGE, target=_URI
)
_CANVAS = _class(
    "Canvas",
    "width height items",
    label=_WORDS,
    width=_COUNT,
    height=_COUNT,
    thumbnail=_many(_IMAGE),
    items=_many(_class("AnnotationPage", "items", items=_many(_ANNOTATION))),
)
_CONTEXT = {"const": "http://iiif.io/api/presentation/3/context.json"}
_FACT = {
    "type": "object",
    "required": ["label", "value"],
    "properties": {"label": _WORDS, "value": _WORDS},
    "additionalProperties": False,
}
MANIFEST = _class(
    "Manifest",
    "@context label items",
    label=_WORDS,
    metadata={"type": "array", "items": _FACT},
    requiredStatement=_FACT,
    thumbnail=_many(_IMAGE),
    items=_many(_CANVAS),
    **{"@context": _CONTEXT},
)
COLLECTION = _class(
    "Collection",
    "@context label requiredStatement items",
    label=_WORDS,
    requiredStatement=_FACT,
    items={"type": "array", "items": _class("Manifest", "label", label=_WORDS)},
    **{"@context": _CONTEXT},
)


@pytest.fixture(params=[*LAYOUTS.values()], ids=[*LAYOUTS])
def layout(request: pytest.FixtureRequest) -> Layout:
    found: Layout = request.param
    return found


def tiles(info: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Region and size of each tile, as the implementation notes of the Image API compute them."""
    (described,) = info["tiles"]
    for scale in described["scaleFactors"]:
        side = described["width"] * scale
        for top in range(0, info["height"], side):
            for left in range(0, info["width"], side):
                wide, high = min(side, info["width"] - left), min(side, info["height"] - top)
                yield f"{left},{top},{wide},{high}", (-(-wide // scale), -(-high // scale))


def test_the_image_information_is_as_the_specification_has_it(layout: Layout) -> None:
    info = iiif.info(layout, SERVICE)
    jsonschema.validate(info, INFO)
    assert next(iter(info)) == "@context"


def test_everything_that_the_information_promises_is_answered(layout: Layout) -> None:
    info = iiif.info(layout, SERVICE)
    assert iiif.requested(layout, "full", "max") is not None
    for size in info["sizes"]:
        assert iiif.requested(layout, "full", f"{size['width']},{size['height']}") is not None
    for region, (width, height) in tiles(info):
        place = iiif.requested(layout, region, f"{width},{height}")
        assert place is not None, (region, width, height)
        assert layout.size_of_tile(place) == (width, height)


def test_no_size_or_tile_goes_beyond_the_limits_and_max_is_what_they_leave(layout: Layout) -> None:
    info = iiif.info(layout, SERVICE)
    widest, highest = info.get("maxWidth", info["width"]), info.get("maxHeight", info["height"])
    sizes = [(size["width"], size["height"]) for size in info["sizes"]]
    for width, height in (*sizes, *(size for _, size in tiles(info))):
        assert width <= widest
        assert height <= highest
    share = min(widest / info["width"], highest / info["height"], 1)
    largest = layout.size_of(layout.picture_level)
    assert largest == pytest.approx((info["width"] * share, info["height"] * share), abs=1)


def test_a_manifest_has_what_each_of_its_classes_requires(layout: Layout) -> None:
    facts = [("Network", "a.b"), ("Layer", "head")]
    manifest = iiif.manifest(layout, f"{ADDRESS}/poster/manifest.json", SERVICE, "A sheet", facts)
    jsonschema.validate(manifest, MANIFEST)
    (canvas,) = manifest["items"]
    (page,) = canvas["items"]
    (annotation,) = page["items"]
    assert annotation["target"] == canvas["id"]
    assert "#" not in canvas["id"]
    assert len({each["id"] for each in (manifest, canvas, page, annotation, annotation["body"])}) == 5
    for image in (annotation["body"], *manifest["thumbnail"], *canvas["thumbnail"]):
        region, size, turned, name = image["id"].removeprefix(f"{SERVICE}/").split("/")
        place = iiif.requested(layout, region, size)
        assert (turned, name) == ("0", "default.jpg")
        assert place is not None
        assert layout.size_of(place.level) == (image["width"], image["height"])
        assert [each["id"] for each in image["service"]] == [SERVICE]


def test_a_collection_has_what_it_requires() -> None:
    made = iiif.collection(f"{ADDRESS}/collection.json", "An atlas", [(f"{ADDRESS}/manifest.json", "Layer")])
    jsonschema.validate(made, COLLECTION)
