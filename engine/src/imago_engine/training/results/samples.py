"""Add samples of codes to a generator's file that was written without: `python -m
imago_engine.training.results.samples FILE PICTURES … --out FILE`.

All other tensors stay as they are, byte for byte. The pictures are image folders, WebDataset tars or packed
sets, best those that the generator was trained on; they are encoded as the file says that it was trained.
"""

import argparse
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from imago_engine.generators import GeneratorFileError, read_description
from imago_engine.synthesis.generators.files import SAMPLES, load_generator, read_info, write_tensors
from imago_engine.synthesis.generators.prior import CodeSamples
from imago_engine.training.data.preparation import encoded_batches
from imago_engine.training.data.sources import open_source
from imago_engine.training.results import prior
from imago_engine.training.run.loading import load_encoder


def main(arguments: Sequence[str] | None = None) -> None:
    accepted = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    accepted.add_argument("file", type=Path, metavar="FILE", help="a generator with a prior of its codes")
    accepted.add_argument("pictures", type=Path, nargs="+", metavar="PICTURES")
    accepted.add_argument("--out", type=Path, required=True, metavar="FILE")
    accepted.add_argument(
        "--of-every", type=int, default=1, metavar="N", help="encode each N-th picture only"
    )
    options = accepted.parse_args(arguments)
    info = read_info(options.file)
    encoder = load_encoder(
        info.encoder,
        info.encoder_layer,
        info.training.get("encoder_input_size"),
        grid=info.training.get("encoder_grid"),
    )
    if encoder.weights_sha256 != info.encoder_sha256:
        raise SystemExit(f"{options.file}: its encoder {info.encoder} has other weights here")
    pictures = chain.from_iterable(open_source(source) for source in options.pictures)
    chosen = (picture for number, picture in enumerate(pictures) if number % options.of_every == 0)
    write_with_samples(options.file, options.out, encoded_batches(chosen, encoder))


def write_with_samples(file: Path, out: Path, batches: Iterable[np.ndarray]) -> None:
    """Write the generator of `file` to `out` with a sample of the codes [N, *code_shape] in `batches`.

    Raises GeneratorFileError for a generator without a prior of its codes.
    """
    known = load_generator(file).prior
    if known is None:
        raise GeneratorFileError(f"{file}: it has no prior, in whose coordinates samples are kept")
    inverse = torch.linalg.pinv(known.axes.flatten(1))
    coordinates = torch.cat(
        [(torch.from_numpy(codes) - known.mean).flatten(1) @ inverse for codes in batches]
    )
    order = torch.randperm(len(coordinates), generator=torch.Generator().manual_seed(0))
    samples = CodeSamples.of(coordinates[order[: prior.SAMPLES]])
    with safe_open(file, "pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    described = read_description(file)
    described["prior"] = {**described["prior"], "samples": len(samples.values)}
    write_tensors(out, {**tensors, **dict(zip(SAMPLES, samples, strict=True))}, described)


if __name__ == "__main__":
    main()
