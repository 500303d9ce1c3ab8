"""The engine: preferred inputs of a network's units, synthesized by a learned generator. It prints nothing.

    from imago_engine.synthesis import DgnAm, Item
    from imago_engine.synthesis import inspect, load_generator, load_network, synthesize

    network = load_network("efficientnet_lite0.imagenet")
    for layer in inspect(network):
        print(layer.name, layer.kind, layer.units, layer.spatial, layer.receptive_field)
    generator = load_generator("generator.safetensors")
    recipe = DgnAm(**generator.info.recommended)
    items = [Item(unit=301, seed=seed) for seed in range(9)]  # nine facets of the ladybug
    pictures = synthesize(network, generator, "output", items, recipe, on_step=lambda done: None)
    PIL.Image.fromarray(pictures[0].image).show()

Names are imported when they are first used: importing this package alone does not import torch.
"""

from typing import TYPE_CHECKING

from imago_engine.lazy_names import lazy_names
from imago_engine.synthesis.computing.reproducible_products import ask_for_reproducible_products

if TYPE_CHECKING:
    from imago_engine.generators import GeneratorFileError, GeneratorInfo
    from imago_engine.networks import LayerInfo, NetworkReference
    from imago_engine.synthesis.ascent import Item, Picture, Stop, synthesize
    from imago_engine.synthesis.fitting import FitError
    from imago_engine.synthesis.generators.architectures import Generator
    from imago_engine.synthesis.generators.files import load_generator, read_info, save_generator
    from imago_engine.synthesis.inspection.layers import inspect
    from imago_engine.synthesis.networks.load import (
        Network,
        NetworkError,
        Preprocessing,
        UnknownNetwork,
        load_network,
    )
    from imago_engine.synthesis.networks.truncate import LayerError
    from imago_engine.synthesis.objectives import ObjectiveError
    from imago_engine.synthesis.receptive_fields.receptive_field import Box
    from imago_engine.techniques import RecipeError
    from imago_engine.techniques.dgn_am import DgnAm

_HOMES = {
    "imago_engine.generators": ("GeneratorFileError", "GeneratorInfo"),
    "imago_engine.networks": ("LayerInfo", "NetworkReference"),
    "imago_engine.techniques": ("RecipeError",),
    "imago_engine.techniques.dgn_am": ("DgnAm",),
    "imago_engine.synthesis.ascent": ("Item", "Picture", "Stop", "synthesize"),
    "imago_engine.synthesis.fitting": ("FitError",),
    "imago_engine.synthesis.generators.files": ("load_generator", "read_info", "save_generator"),
    "imago_engine.synthesis.generators.architectures": ("Generator",),
    "imago_engine.synthesis.inspection.layers": ("inspect",),
    "imago_engine.synthesis.networks.load": (
        "Network",
        "NetworkError",
        "Preprocessing",
        "UnknownNetwork",
        "load_network",
    ),
    "imago_engine.synthesis.objectives": ("ObjectiveError",),
    "imago_engine.synthesis.receptive_fields.receptive_field": ("Box",),
    "imago_engine.synthesis.networks.truncate": ("LayerError",),
}

__all__ = [
    "Box",
    "DgnAm",
    "FitError",
    "Generator",
    "GeneratorFileError",
    "GeneratorInfo",
    "Item",
    "LayerError",
    "LayerInfo",
    "Network",
    "NetworkError",
    "NetworkReference",
    "ObjectiveError",
    "Picture",
    "Preprocessing",
    "RecipeError",
    "Stop",
    "UnknownNetwork",
    "inspect",
    "load_generator",
    "load_network",
    "read_info",
    "save_generator",
    "synthesize",
]

__getattr__ = lazy_names(__name__, _HOMES)

ask_for_reproducible_products()  # here, since it counts only before the first product
