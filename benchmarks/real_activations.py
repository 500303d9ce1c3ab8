"""How strongly real photographs excite the demo's units: `python -m benchmarks.real_activations`.

`make demo` reports where its pictures stand among real images. A fresh machine has no photographs, so what
they do is measured once, here, and the quantiles are kept in `infra/local/demo_units.json`: figures, not
pictures.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.activations import activations
from benchmarks.photographs import photographs
from imago_engine.synthesis import Network, load_network

QUANTILES = 101
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    assets = Path("../shared/assets")
    parser.add_argument("--assets", type=Path, default=assets, help="folder with images/*.npz")
    parser.add_argument("--units", type=Path, default=Path("infra/local/demo_units.json"))
    arguments = parser.parse_args()

    demo = json.loads(arguments.units.read_text())
    network = load_network(demo["network"])
    images = photographs(arguments.assets / "images" / "imagen_det200_1000x256.npz", demo["input_size"])
    for layer in demo["layers"]:
        layer["quantiles"] = quantiles(network, layer["name"], layer["units"], images)
    arguments.units.write_text(json.dumps(demo) + "\n")


def quantiles(network: Network, layer: str, units: list[int], images: Tensor) -> dict[str, list[float]]:
    """Evenly spaced quantiles, lowest first, of each unit's activation over uint8 images [N, 3, S, S]."""
    batches = tqdm(torch.split(images, BATCH), desc=layer, unit="batch")
    answers = activations(network, layer, (batch.float() / 255 for batch in batches))[:, units]
    levels = np.quantile(answers.numpy(), np.linspace(0, 1, QUANTILES), axis=0).round(3)
    return {str(unit): levels[:, column].tolist() for column, unit in enumerate(units)}


if __name__ == "__main__":
    main()
