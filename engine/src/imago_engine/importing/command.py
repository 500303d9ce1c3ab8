"""The command line of the importer."""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from imago_engine.importing.errors import GeneratorImportError
from imago_engine.importing.fetching import Progress, fetched
from imago_engine.importing.importer import CODE_SHAPES, Bounds, import_generator
from imago_engine.synthesis.generators.architectures import CAFFE_MEAN_BGR
from imago_engine.synthesis.generators.files import file_sha256, save_generator


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m imago_engine.importing",
        description="Read a released DeePSiM generator (Caffe protobuf, PyTorch state dict or safetensors) "
        "and write it as a generator file of this product.",
    )
    made.add_argument(
        "source", help="a file, an https address, or hf:OWNER/NAME/FILE of the Hugging Face hub"
    )
    made.add_argument("--architecture", required=True, choices=CODE_SHAPES, help="the layer that it inverts")
    made.add_argument(
        "--bounds",
        metavar="SOURCE",
        help="the authors' bounds file (one line of numbers); default: flat, 0 to 30",
    )
    made.add_argument(
        "--bounds-k",
        type=float,
        default=3.0,
        metavar="K",
        help="standard deviations that the bounds stand for (3)",
    )
    made.add_argument(
        "--mean",
        default=",".join(f"{m:g}" for m in CAFFE_MEAN_BGR),
        metavar="B,G,R",
        help="mean that was subtracted",
    )
    made.add_argument("--out", required=True, type=Path, metavar="FILE.safetensors")
    return made


def run(arguments: Sequence[str]) -> int:
    """Import once; 0, or 1 with one line on stderr where the source, the file or its bounds will not do."""
    options = parser().parse_args(arguments)
    try:
        if not 0 < options.bounds_k < math.inf:
            raise GeneratorImportError(f"--bounds-k {options.bounds_k:g}: expected a number above 0")
        if options.out.suffix != ".safetensors" or not options.out.absolute().parent.is_dir():
            raise GeneratorImportError(
                f"--out {options.out}: expected a .safetensors file in a folder that exists"
            )
        mean = _mean(options.mean)
        with fetched(options.source, on_progress=_progress(options.source)) as weights:
            if options.bounds is None:
                generator = import_generator(
                    weights, options.architecture, mean_bgr=mean, origin=_origin(options.source)
                )
            else:
                with fetched(options.bounds) as path:
                    bounds = Bounds(path, options.bounds_k)
                    generator = import_generator(
                        weights,
                        options.architecture,
                        bounds=bounds,
                        mean_bgr=mean,
                        origin=_origin(options.source),
                    )
            # float32: the point of an import is that nothing is lost.
            save_generator(options.out, generator, dtype=torch.float32)
    except (GeneratorImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    info = generator.info
    print(
        f"{options.out}: {info.architecture}, codes {list(info.code_shape)}, {info.image_size} px, bounds "
        f"{info.training['bounds']}"
    )
    print(f"sha256 {file_sha256(options.out)}")
    return 0


def _origin(source: str) -> str:
    """What is kept of where a file came from: addresses whole, local paths only by their last part."""
    return source if "://" in source or source.startswith("hf:") else Path(source).name


def _mean(text: str) -> tuple[float, float, float]:
    try:
        blue, green, red = (float(part) for part in text.split(","))
        if not all(map(math.isfinite, (blue, green, red))):
            raise ValueError
    except ValueError:
        raise GeneratorImportError(
            f"--mean {text!r}: expected three numbers, blue,green,red, such as 104,117,123"
        ) from None
    return blue, green, red


def _progress(source: str) -> Progress:
    last = 0.0

    def show(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= 1:
            last = now
            share = f" of {total / 1e6:.1f}" if total else ""
            print(f"{source}: {done / 1e6:.1f}{share} MB", file=sys.stderr)

    return show
