"""`make bench-eye BENCH="pictures | judge | fit"`: how the eye that compares pictures was chosen and made.

`pictures` makes the pictures of units, `judge` compares ways to make an eye, `fit` writes the file of the
chosen one. All need image sets and a network that are not shipped.
"""

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import outcome
from benchmarks.eye.fitting import features_of, fit, photographs, prototypes
from benchmarks.eye.judging import found
from benchmarks.eye.pictures import JUDGED, LITE, Pixels, fitted, judged, made, make_all
from benchmarks.quality.assets import Assets, named_network
from benchmarks.quality.options import add_assets
from imago_engine.synthesis.eye.eye import EyeInfo, save_eye
from imago_engine.synthesis.eye.features import Features
from imago_engine.synthesis.networks.load import Network, load_network
from imago_engine.weights import EYE, shipped_eye

CACHE = Path(".imago/bench-eye")
SIZE = 128
LAYERS, WHITENING = ("blocks.5", "bn2"), 0.5
CANDIDATES = (("blocks.4",), ("blocks.5",), ("blocks.6",), ("bn2",), ("blocks.4", "blocks.6", "bn2"), LAYERS)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eye", description=__doc__)
    parser.add_argument("command", choices=("pictures", "judge", "fit"))
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="where pictures are kept")
    parser.add_argument("--classes", type=int, default=100, help="how many are judged by, of 100")
    parser.add_argument("--threads", type=int, default=2)
    add_assets(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    assets = Assets(options.assets).folder
    if options.command == "pictures":
        make_all(options.cache, assets, options.classes)
        return
    networks = {name: named_network(name, assets) for name in JUDGED}
    wanted = [LAYERS] if options.command == "fit" else CANDIDATES
    layers = list(dict.fromkeys(chain(*wanted)))
    every = Features(load_network(LITE), layers, SIZE)
    widths = _widths(every)
    photographed = features_of(every, photographs(assets, SIZE))
    synthesized = features_of(every, chain(prototypes(), _pictures(networks, options.cache)))
    if options.command == "fit":
        _write(every, photographed, synthesized, widths)
        return
    parts = [_judged(every, networks[name], options.cache, options.classes) for name in JUDGED]
    rows = []
    for names in CANDIDATES:
        columns = _columns(names, widths)
        own = [widths[name] for name in names]
        for whitening in (0.0, 0.5, 1.0):
            eye = fit(photographed[:, columns], synthesized[:, columns], own, whitening)
            ours, theirs = (eye(part[:, columns]) for part in parts)
            shares = found(ours, theirs)
            rows.append({"layers": names, "whitening": whitening, **shares})
            print(rows[-1], flush=True)
    outcome.write("eye", {"classes": len(parts[0]), "chosen": [*LAYERS, WHITENING], "candidates": rows})


def _pictures(networks: dict[str, Network], cache: Path) -> chain[Pixels]:
    return chain.from_iterable(made(fitted(name), network, cache) for name, network in networks.items())


def _judged(features: Features, network: Network, cache: Path, classes: int) -> Tensor:
    pictures = chain.from_iterable(made([part], network, cache) for part in judged(network.id, classes))
    return features_of(features, pictures)


def _widths(features: Features) -> dict[str, int]:
    """Channels of each layer."""
    blank = torch.zeros(1, 3, features.input_size, features.input_size)
    alone = {name: Features(features.network, [name], features.input_size) for name in features.layers}
    return {name: seen(blank).shape[1] for name, seen in alone.items()}


def _columns(names: Sequence[str], widths: dict[str, int]) -> Tensor:
    """Which features are those of some layers."""
    starts = dict(zip(widths, [0, *torch.tensor(list(widths.values())).cumsum(0).tolist()], strict=False))
    return torch.cat([torch.arange(starts[name], starts[name] + widths[name]) for name in names])


def _write(features: Features, photographed: Tensor, synthesized: Tensor, widths: dict[str, int]) -> None:
    eye = fit(photographed, synthesized, list(widths.values()), WHITENING)
    id, _, version = EYE.rpartition("-")
    info = EyeInfo(id, int(version), LITE, features.network.weights_sha256, LAYERS, SIZE)
    save_eye(shipped_eye(), info, eye.mean, eye.axes)
    print(f"{shipped_eye()}: {len(photographed)} photographs, {len(synthesized)} pictures of units")


if __name__ == "__main__":
    main()
