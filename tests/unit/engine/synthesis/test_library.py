"""The engine as a library: what it exports, and that several callers can share what it loaded."""

import threading

import numpy as np

import imago_engine.synthesis
from imago_engine.synthesis import DgnAm, Generator, Item, Network, Picture, synthesize
from tests.unit.engine.synthesis.codes import code_of


def test_every_exported_name_exists() -> None:
    assert all(getattr(imago_engine.synthesis, name) is not None for name in imago_engine.synthesis.__all__)


def test_two_jobs_on_one_network_get_what_each_would_alone(lite0: Network, compact: Generator) -> None:
    recipe = DgnAm(steps=3, learning_rate=0.05, start="half-normal", input_size=32)
    layers = ["output", "blocks.1.0"]
    alone = {layer: synthesize(lite0, compact, layer, [Item(3, 0)], recipe)[0] for layer in layers}
    together: dict[str, Picture] = {}
    start = threading.Barrier(len(layers))

    def work(layer: str) -> None:
        start.wait()
        (together[layer],) = synthesize(lite0, compact, layer, [Item(3, 0)], recipe)

    threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layer in layers:
        np.testing.assert_allclose(code_of(together[layer]), code_of(alone[layer]), atol=1e-5)
