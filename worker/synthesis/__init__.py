"""The engine: preferred inputs of a network's units, synthesized by a learned generator. It prints nothing.

    from worker.synthesis import DgnAm, Item
    from worker.synthesis import inspect, load_generator, load_network, synthesize

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

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imago_engine.generators import GeneratorFileError, GeneratorInfo
    from imago_engine.networks import LayerInfo, NetworkReference
    from imago_engine.techniques import RecipeError
    from imago_engine.techniques.dgn_am import DgnAm
    from worker.synthesis.ascent import Item, Picture, Stop, synthesize
    from worker.synthesis.fitting import FitError
    from worker.synthesis.generator_file import load_generator, read_info, save_generator
    from worker.synthesis.generators import Generator
    from worker.synthesis.inspection import inspect
    from worker.synthesis.networks import (
        Network,
        NetworkError,
        Preprocessing,
        UnknownNetwork,
        load_network,
    )
    from worker.synthesis.objectives import ObjectiveError
    from worker.synthesis.receptive_field import Box
    from worker.synthesis.truncation import LayerError

_HOMES = {
    "imago_engine.generators": ("GeneratorFileError", "GeneratorInfo"),
    "imago_engine.networks": ("LayerInfo", "NetworkReference"),
    "imago_engine.techniques": ("RecipeError",),
    "imago_engine.techniques.dgn_am": ("DgnAm",),
    "worker.synthesis.ascent": ("Item", "Picture", "Stop", "synthesize"),
    "worker.synthesis.fitting": ("FitError",),
    "worker.synthesis.generator_file": ("load_generator", "read_info", "save_generator"),
    "worker.synthesis.generators": ("Generator",),
    "worker.synthesis.inspection": ("inspect",),
    "worker.synthesis.networks": (
        "Network",
        "NetworkError",
        "Preprocessing",
        "UnknownNetwork",
        "load_network",
    ),
    "worker.synthesis.objectives": ("ObjectiveError",),
    "worker.synthesis.receptive_field": ("Box",),
    "worker.synthesis.truncation": ("LayerError",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

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


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
