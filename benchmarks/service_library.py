"""The library's side of `benchmarks.service`: for each seed read, the seconds of one `synthesize` call."""

import json
import sys
import time

from imago_engine.synthesis import DgnAm, Item, load_generator, load_network, synthesize
from imago_engine.weights import shipped_generator

GENERATOR = shipped_generator()


def main() -> None:
    network_id, recipe, units = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    network = load_network(network_id)
    generator = load_generator(GENERATOR)
    parameters = DgnAm(**{**generator.info.recommended, **recipe})
    for line in sys.stdin:
        items = [Item(unit=unit, seed=int(line)) for unit in units]
        began = time.monotonic()
        synthesize(network, generator, "classifier", items, parameters)
        print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    main()
