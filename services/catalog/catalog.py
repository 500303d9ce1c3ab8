"""The catalog of networks, layers, units and generators. Callers need to know this module only."""

from services.catalog.generators import Generator, get_generator, list_generators, register_generator
from services.catalog.inspection_leases import InspectionClaim, claim_inspection
from services.catalog.inspections import record_inspection, record_inspection_failure
from services.catalog.layers import (
    Layer,
    MapBounds,
    Unit,
    current_sha256,
    get_layer,
    get_unit,
    labels_of_layer,
    list_layers,
    list_units,
    map_at,
    unit_labels,
)
from services.catalog.network_request import RegisterNetwork
from services.catalog.networks import Network, get_network, list_networks, register_network

__all__ = [
    "Generator",
    "InspectionClaim",
    "Layer",
    "MapBounds",
    "Network",
    "RegisterNetwork",
    "Unit",
    "claim_inspection",
    "current_sha256",
    "get_generator",
    "get_layer",
    "get_network",
    "get_unit",
    "labels_of_layer",
    "list_generators",
    "list_layers",
    "list_networks",
    "list_units",
    "map_at",
    "record_inspection",
    "record_inspection_failure",
    "register_generator",
    "register_network",
    "unit_labels",
]
