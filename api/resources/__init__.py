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
    search,
    sheets,
    techniques,
    trainings,
    visualizations,
)
from api.resources.of_atlases import maps

ALL = (
    networks.blueprint,
    exports.blueprint,
    generators.blueprint,
    trainings.blueprint,
    presets.blueprint,
    techniques.blueprint,
    jobs.blueprint,
    atlases.blueprint,
    visualizations.blueprint,
    scans.blueprint,
    search.blueprint,
    sheets.blueprint,
    maps.blueprint,
    iiif.blueprint,
    queue.blueprint,
    keys.blueprint,
)
