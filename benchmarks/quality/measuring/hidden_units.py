"""Hidden units of three networks: how much their pictures excite them, beside photographs.

One of them is the network that the generator inverts; it never saw the others.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.quality.assets import Assets, Photographs, named_network
from benchmarks.quality.lists import Unit, hidden_units
from benchmarks.quality.making import made
from benchmarks.quality.measuring.evaluation import Row, standing
from benchmarks.quality.measuring.real import photograph_activations
from benchmarks.quality.plan import Plan
from benchmarks.quality.techniques import Generated
from imago_engine.synthesis.inspection.layers import find_layer
from imago_engine.synthesis.networks.load import Network

ENCODERS = "efficientnet_lite0.imagenet"
OTHERS = {
    "mobilenet_v2": ("logits.conv18", "logits.conv36", "logits.conv51"),
    "squeezenet1_1": ("logits.features.6", "logits.features.10", "logits.classifier.2"),
}
"""An early, a middle and a late layer of each."""
EACH = 20


def hidden_rows(generator: Path, assets: Assets, photographs: Photographs, cache: Path) -> Iterator[Row]:
    """A row a network: by the recipe that the generator's file recommends, 20 evenly spaced units of each of
    three layers.
    """
    for name in (ENCODERS, *OTHERS):
        network = named_network(name, assets.folder)
        technique = Generated(f"dgn-am {name}", network, generator)
        units = hidden_units() if name == ENCODERS else evenly_spaced(network, technique.input_size)
        plan = Plan((), units, (), (), (), ())
        pictures = made(technique, plan, cache)
        real = photograph_activations(photographs, network, plan.layers, technique.input_size, cache)
        yield {"network": name, "units": len(units), **standing(pictures, units, real)}


def evenly_spaced(network: Network, input_size: int) -> tuple[Unit, ...]:
    """Of one of the other networks."""
    counts = {layer: find_layer(network, layer, input_size).shape[0] for layer in OTHERS[network.id]}
    return tuple(Unit(layer, n * count // EACH) for layer, count in counts.items() for n in range(EACH))
