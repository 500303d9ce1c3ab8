"""The catalog, whole: networks, layers and units, generators. Callers need to know this module only."""

from services.generators import Generator, get_generator, list_generators, register_generator
from services.layers import (
    OUTPUT_ALIASES,
    Layer,
    MapBounds,
    Unit,
    get_layer,
    get_unit,
    list_layers,
    list_units,
    map_at,
    unit_labels,
)
from services.networks import (
    LayerRecord,
    Network,
    RegisterNetwork,
    get_network,
    list_networks,
    next_pending_network,
    record_inspection,
    record_inspection_failure,
    register_network,
)

__all__ = [
    "OUTPUT_ALIASES",
    "Generator",
    "Layer",
    "LayerRecord",
    "MapBounds",
    "Network",
    "RegisterNetwork",
    "Unit",
    "get_generator",
    "get_layer",
    "get_network",
    "get_unit",
    "list_generators",
    "list_layers",
    "list_networks",
    "list_units",
    "map_at",
    "next_pending_network",
    "record_inspection",
    "record_inspection_failure",
    "register_generator",
    "register_network",
    "unit_labels",
]
