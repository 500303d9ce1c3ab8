"""imago_engine: preferred inputs of a network's units.

    from imago_engine import load_network, synthesize

    network = load_network("efficientnet_lite0.imagenet")
    synthesize(network, "output", "ladybug", seeds=range(9))  # shows itself in a notebook

What this package exports is for notebooks; the names are imported when they are first used, and torch when
one of the functions is called. `imago_engine.synthesis` has the engine as a worker uses it.

The other modules at the root are the words that describe pictures and how they are made: plain pydantic
models and dataclasses, without torch. Whatever speaks of a picture or of a training (the API, the service,
the command line, the engine itself) imports them from there, so that each name, range, default and
description is written once:

- `techniques`: ways to make a picture, each with its parameters, its version and what it needs
- `objectives`: what a picture is to excite, such as one unit of a layer
- `specs`: everything that determines one picture, and the digest that names it
- `artifacts`: what comes of a spec: an image, a crop, a code, a trace
- `networks`, `generators`: what a network, a layer and a generator are, and what ids and files say of them
- `trainings`: how generators are trained: presets, their options, and what every training can be asked for
- `units`: selections of units such as "0-7,12"
- `canonical`: one JSON text for each value, and its SHA-256
- `validation`: what pydantic found wrong, in words for people
"""

from typing import TYPE_CHECKING

from imago_engine.lazy_names import lazy_names

if TYPE_CHECKING:
    from imago_engine.generators import GeneratorFileError
    from imago_engine.networks import LayerInfo, Preprocessing
    from imago_engine.notebook.functions import list_layers, load_generator, load_network, synthesize
    from imago_engine.notebook.visualizations import Visualization, Visualizations
    from imago_engine.synthesis.networks.load import Network

_HOMES = {
    "imago_engine.generators": ("GeneratorFileError",),
    "imago_engine.networks": ("LayerInfo", "Preprocessing"),
    "imago_engine.notebook.functions": ("list_layers", "load_generator", "load_network", "synthesize"),
    "imago_engine.notebook.visualizations": ("Visualization", "Visualizations"),
    "imago_engine.synthesis.networks.load": ("Network",),
}

__all__ = [
    "GeneratorFileError",
    "LayerInfo",
    "Network",
    "Preprocessing",
    "Visualization",
    "Visualizations",
    "list_layers",
    "load_generator",
    "load_network",
    "synthesize",
]

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
