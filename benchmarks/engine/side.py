"""One engine of `benchmarks.engine`: for each line read, the pictures of some classes, written to a file.

Run as a file, not as a module: the `imago_engine` that PYTHONPATH names makes them, of whatever revision;
nothing else of this repository is imported.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from imago_engine.synthesis import DgnAm, Item, load_generator, load_network, synthesize


def main() -> None:
    asked = json.loads(sys.argv[1])
    network = load_network(asked["network"])
    generator = load_generator(asked["generator"])
    recipe = DgnAm(**{**generator.info.recommended, **asked["recipe"]})
    print(json.dumps(recipe.model_dump()), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        items = [Item(unit=unit, seed=task["seed"]) for unit in task["units"]]
        wall, cpu = time.monotonic(), time.process_time()
        pictures = synthesize(network, generator, "output", items, recipe, group_size=asked.get("group_size"))
        seconds = time.monotonic() - wall, time.process_time() - cpu
        if task["out"]:
            with Path(task["out"]).open("wb") as out:
                np.savez(
                    out,
                    images=np.stack([picture.image for picture in pictures]).transpose(0, 3, 1, 2),
                    activations=np.array([picture.activation for picture in pictures], np.float32),
                    seconds=np.array(seconds),
                )
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
