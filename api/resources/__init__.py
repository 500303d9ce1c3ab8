"""The resources under /v1, one module each: parse, call one function of a service, render."""

from api.resources import (
    atlases,
    exports,
    generators,
    iiif,
    jobs,
    keys,
    networks,
    presets,
    queue,
    scans,
    sheets,
    techniques,
    trainings,
    visualizations,
)
from api.resources.of_atlases import export_tar, maps
from api.resources.search import compare, found

ALL = (
    networks.blueprint,
    exports.blueprint,
    export_tar.blueprint,
    generators.blueprint,
    trainings.blueprint,
    presets.blueprint,
    techniques.blueprint,
    jobs.blueprint,
    atlases.blueprint,
    visualizations.blueprint,
    scans.blueprint,
    found.blueprint,
    compare.blueprint,
    sheets.blueprint,
    maps.blueprint,
    iiif.blueprint,
    queue.blueprint,
    keys.blueprint,
)
