"""A foreign generator, put into the product's own architecture, description and file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from imago_engine.generators import GeneratorInfo
from imago_engine.importing.bounds_file import read_bounds
from imago_engine.importing.caffe import read_caffemodel
from imago_engine.importing.errors import GeneratorImportError
from imago_engine.importing.state_dicts import plain_names, read_safetensors, read_torch
from imago_engine.synthesis.generators.architectures import CAFFE_MEAN_BGR, Generator, build_network

ENCODER = "caffenet"
"""The encoder of every released DeePSiM generator:

Caffe's reference AlexNet, which the catalog does not hold.
"""
CODE_SHAPES: Mapping[str, tuple[int, ...]] = {
    "deepsim-fc6": (4096,),
    "deepsim-fc7": (4096,),
    "deepsim-fc8": (1000,),
    "deepsim-pool5": (256, 6, 6),
}
FLAT_UPPER = 30.0
"""Upper bound of every code neuron where no bounds are given: the flat range of Nguyen et al. 2017, arXiv
1612.00005.
"""
RECIPE = {"steps": 200, "learning_rate": 8.0, "learning_rate_end": 1e-10, "decay": 0.99, "start": "normal"}
"""The published settings for output neurons of AlexNet-like networks (Nguyen et al. 2016, released code)."""


@dataclass(frozen=True)
class Bounds:
    """A bounds file, and how many standard deviations above the mean it stands (the authors have files for 1,
    2 and 3).
    """

    path: Path
    k: float = 3.0


def read_weights(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The format of a weights file (caffe, pytorch or safetensors), known by its content, and its tensors by
    layer name.

    Tensors are float32 in torch's layouts under names such as `defc7.weight`. Raises `GeneratorImportError`.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(16)
    except OSError as error:
        raise GeneratorImportError(f"{path.name} cannot be read: {error.strerror}") from error
    if head.startswith(b"\x89HDF"):
        raise GeneratorImportError(
            f"{path.name} is an HDF5 file; expected Caffe's binary protobuf (generator.caffemodel)"
        )
    if head.startswith((b"PK\x03\x04", b"\x80\x02")):  # torch.save: a zip since 1.6, a bare pickle before
        return "pytorch", plain_names(read_torch(path))
    if head[8:9] == b"{":
        return "safetensors", plain_names(read_safetensors(path))
    return "caffe", _named(read_caffemodel(path))


def import_generator(
    path: Path,
    architecture: str,
    *,
    bounds: Bounds | None = None,
    mean_bgr: tuple[float, float, float] = CAFFE_MEAN_BGR,
    origin: str | None = None,
) -> Generator:
    """The generator in a foreign weights file, ready for `save_generator`. Its values are those of the file,
    bit for bit.

    `architecture` is one of `CODE_SHAPES`. `mean_bgr` is what was subtracted from the pictures it was trained
    on. `origin` is kept in the description as where it came from. Raises `GeneratorImportError` that says
    what was expected and what was found.
    """
    if architecture not in CODE_SHAPES:
        raise GeneratorImportError(f"architecture {architecture!r}: expected one of {', '.join(CODE_SHAPES)}")
    code_shape = CODE_SHAPES[architecture]
    kind, weights = read_weights(path)
    with torch.device("meta"):  # names and shapes only; the values come from the file
        network = build_network(architecture, {})
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict(_fitting(weights, expected, architecture, path.name), assign=True)
    if mean_bgr != CAFFE_MEAN_BGR:
        # The product adds the Caffe mean to what a "bgr_mean" generator puts out; the difference belongs to
        # its last bias.
        bias = network.get_parameter("deconv0.bias")
        bias.data = bias.data + (torch.tensor(mean_bgr) - torch.tensor(CAFFE_MEAN_BGR))
    upper, k = torch.full(code_shape, FLAT_UPPER), 3.0
    if bounds is not None:
        upper, k = read_bounds(bounds.path, code_shape), bounds.k
    info = GeneratorInfo(
        architecture=architecture,
        arguments={},
        code_shape=code_shape,
        image_size=256,
        pixels="bgr_mean",
        encoder=ENCODER,
        encoder_layer=architecture.removeprefix("deepsim-"),
        encoder_sha256="",
        recommended={**RECIPE, "bounds": "sigma", "bounds_k": k},
        training={
            "imported_from": origin or path.name,
            "format": kind,
            "mean_bgr": list(mean_bgr),
            "bounds": bounds.path.name if bounds else f"flat 0 to {FLAT_UPPER:g}",
        },
    )
    # A bounds file tells only μ + kσ. With μ = 0 and σ = bound / k the engine's own bound at k is the file's;
    # the lower is 0, as the authors clip every code.
    return Generator(info, network, torch.zeros(code_shape), upper / k, torch.zeros(code_shape))


def _named(layers: Mapping[str, tuple[Tensor, ...]]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for layer, blobs in layers.items():
        if len(blobs) > 2:
            raise GeneratorImportError(
                f"layer {layer!r} has {len(blobs)} blobs; expected a weight and a bias"
            )
        named.update(zip((f"{layer}.weight", f"{layer}.bias"), blobs, strict=False))
    return named


def _fitting(
    weights: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], architecture: str, file: str
) -> dict[str, Tensor]:
    """`weights` in the expected shapes, all of them finite.

    Leading ones of older Caffe files are dropped; nothing is ever transposed.
    """
    missing, surplus = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    if missing or surplus:
        parts = [
            f"{words} {', '.join(sorted(names))}"
            for words, names in (("lacks", missing), ("also has", surplus))
            if names
        ]
        others = [other for other in CODE_SHAPES if other != architecture]
        raise GeneratorImportError(
            f"{file} is no {architecture} generator: it {' and '.join(parts)}; it may be one of "
            f"{', '.join(others)}"
        )
    fitting = {}
    for name, shape in expected.items():
        found = tuple(weights[name].shape)
        if _without_leading_ones(found) != _without_leading_ones(shape):
            raise GeneratorImportError(
                f"{file}: {name}: expected shape {list(shape)} ({architecture}), got {list(found)}"
            )
        if weights[name].numel() and not torch.stack(weights[name].aminmax()).isfinite().all():
            raise GeneratorImportError(
                f"{file}: {name}: holds NaN or infinity; expected numbers that float32 has"
            )
        fitting[name] = weights[name].reshape(shape)
    return fitting


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((i for i, dim in enumerate(shape) if dim != 1), len(shape))
    return shape[first:]
