"""Sheets as IIIF has them: an Image 3.0 service of level 0, whose requests are exactly the tiles that are
stored, Presentation 3.0 manifests, and a collection. `base` is the address that each begins with."""

from collections.abc import Sequence
from typing import Any

from services.sheets.layout import TILE, Layout, Place

IMAGE = "http://iiif.io/api/image/3/context.json"
PRESENTATION = "http://iiif.io/api/presentation/3/context.json"
_Json = dict[str, Any]
_THUMBNAIL_SIDE = 256
_ATTRIBUTION = ("Attribution", "Synthesized by imago: what units of a vision network prefer to see.")


def info(layout: Layout, service: str) -> _Json:
    """The image information document."""
    width, height = layout.size
    picture = layout.size_of(layout.picture_level)
    single = _single_levels(layout)
    sizes = sorted({layout.size_of(level) for level in single} | {picture})
    described: _Json = {
        "@context": IMAGE,
        "id": service,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": width,
        "height": height,
        "sizes": [{"width": wide, "height": high} for wide, high in sizes],
        "tiles": [
            {
                "width": TILE,
                "height": TILE,
                "scaleFactors": [
                    2 ** (layout.top - level) for level in range(layout.top, single[-1] - 1, -1)
                ],
            }
        ],
    }
    if picture != layout.size:
        # `max` is then the largest size that is stored as one picture. No limit is less than a tile: of a
        # sheet that is long and narrow, its length alone is what limits it.
        described |= {"maxWidth": max(picture[0], TILE), "maxHeight": max(picture[1], TILE)}
    return described


def _single_levels(layout: Layout) -> Sequence[int]:
    """Levels that are one tile, from the smallest to the largest."""
    return [level for level in range(layout.top + 1) if layout.grid_of(level) == (1, 1)]


def requested(layout: Layout, region: str, size: str) -> Place | None:
    """The tile that a request for a region and size is for; the place of the whole picture, at its level, for
    all of it at the largest size. None for what is not stored."""
    if region == "full":
        return _full(layout, size)
    for level in range(layout.top, -1, -1):
        scale = 2 ** (layout.top - level)
        place = _tile_of(layout, level, scale, region)
        if place is not None and size == "{},{}".format(*layout.size_of_tile(place)):
            return place
    return None


def _full(layout: Layout, size: str) -> Place | None:
    largest = layout.picture_level
    if size in ("max", "{},{}".format(*layout.size_of(largest))):
        return Place(largest, -1, -1)
    for level in _single_levels(layout):
        if size == "{},{}".format(*layout.size_of(level)):
            return Place(level, 0, 0)
    return None


def _tile_of(layout: Layout, level: int, scale: int, region: str) -> Place | None:
    numbers = region.split(",")
    if len(numbers) != 4 or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    left, top, width, height = map(int, numbers)
    side = TILE * scale
    place = Place(level, left // side, top // side)
    if left % side or top % side or not layout.has(place):
        return None
    wanted = min(side, layout.size[0] - left), min(side, layout.size[1] - top)
    return place if (width, height) == wanted else None


def manifest(
    layout: Layout, address: str, service: str, label: str, facts: Sequence[tuple[str, str]]
) -> _Json:
    """A manifest of one canvas, the sheet."""
    width, height = layout.size
    canvas, page = f"{address}/canvas", f"{address}/page"
    picture = layout.size_of(layout.picture_level)
    small = next(
        layout.size_of(level)
        for level in reversed(_single_levels(layout))
        if max(layout.size_of(level)) <= _THUMBNAIL_SIDE
    )
    offered = [{"id": service, "type": "ImageService3", "profile": "level0"}]
    thumbnail = [
        {
            "id": "{}/full/{},{}/0/default.jpg".format(service, *small),
            "type": "Image",
            "format": "image/jpeg",
            "width": small[0],
            "height": small[1],
            "service": offered,
        }
    ]
    return {
        "@context": PRESENTATION,
        "id": address,
        "type": "Manifest",
        "label": _in_english(label),
        "metadata": [_stated(*fact) for fact in facts],
        "requiredStatement": _stated(*_ATTRIBUTION),
        "thumbnail": thumbnail,
        "items": [
            {
                "id": canvas,
                "type": "Canvas",
                "label": _in_english(label),
                "width": width,
                "height": height,
                "thumbnail": thumbnail,  # without one Mirador takes all of the sheet for it
                "items": [
                    {
                        "id": page,
                        "type": "AnnotationPage",
                        "items": [
                            {
                                "id": f"{page}/sheet",
                                "type": "Annotation",
                                "motivation": "painting",
                                "target": canvas,
                                "body": {
                                    "id": f"{service}/full/max/0/default.jpg",
                                    "type": "Image",
                                    "format": "image/jpeg",
                                    "width": picture[0],
                                    "height": picture[1],
                                    "service": offered,
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }


def collection(address: str, label: str, manifests: Sequence[tuple[str, str]]) -> _Json:
    """A collection of manifests, each with its address and label."""
    return {
        "@context": PRESENTATION,
        "id": address,
        "type": "Collection",
        "label": _in_english(label),
        "requiredStatement": _stated(*_ATTRIBUTION),  # without one Mirador 3 fails to show a collection
        "items": [
            {"id": each, "type": "Manifest", "label": _in_english(its_label)} for each, its_label in manifests
        ],
    }


def _stated(name: str, value: str) -> _Json:
    return {"label": _in_english(name), "value": _in_english(value)}


def _in_english(words: str) -> dict[str, list[str]]:
    return {"en": [words]}
