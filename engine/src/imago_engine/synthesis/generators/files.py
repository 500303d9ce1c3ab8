"""The file of a generator: one safetensors file with its weights, its code statistics and, as metadata, its
description.

Tensors: `network.<parameter or buffer>` (float16 or float32), `code_mean`, `code_std`, `code_lower` (float32)
and, where the prior of the codes is known, `code_axes` and `code_prototypes` (float16 or float32; many axes
of long codes are int8, with `code_axis_scale`, see `stored_axes`). It may have samples too, `code_samples`
(int8) and `code_sample_scale` (float32). Metadata: the key `imago-generator` holds JSON, {"version": 1,
"info": GeneratorInfo}. All is computed with in float32.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from imago_engine.generators import KEY, VERSION, GeneratorFileError, GeneratorInfo, read_description
from imago_engine.synthesis.generators.architectures import ARCHITECTURES, Generator, build_network
from imago_engine.synthesis.generators.stored_axes import AXES, AXIS_SCALE, loaded_axes, stored_axes
from imago_engine.synthesis.networks.modes import loading_modes

STATISTICS = ("code_mean", "code_std", "code_lower")
PRIOR = ("code_axes", "code_prototypes")
SAMPLES = ("code_samples", "code_sample_scale")
COUNTER = ".num_batches_tracked"  # batch norm's step counter: of no use to a frozen network


def save_generator(path: str | Path, generator: Generator, dtype: torch.dtype = torch.float16) -> None:
    """Write `generator` to `path` atomically; weights are stored as `dtype`, statistics as float32."""
    weights = generator.network.state_dict()
    tensors = {f"network.{k}": _storable(v, dtype) for k, v in weights.items() if not k.endswith(COUNTER)}
    tensors |= {name: _storable(getattr(generator, name), torch.float32) for name in STATISTICS}
    counts: dict[str, int] = {}
    if generator.prior is not None:
        tensors["code_prototypes"] = _storable(generator.prior.prototypes, dtype)
        axes = stored_axes(generator.prior.axes, generator.code_std, dtype)
        tensors |= {name: _storable(tensor, tensor.dtype) for name, tensor in axes.items()}
        counts = {"directions": len(generator.prior.axes), "prototypes": len(generator.prior.prototypes)}
        if generator.prior.samples is not None:
            tensors |= {name: _storable(getattr(generator, name), torch.float32) for name in SAMPLES}
            counts["samples"] = len(generator.prior.samples.values)
    write_tensors(Path(path), tensors, dataclasses.asdict(dataclasses.replace(generator.info, prior=counts)))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write a generator's file of its tensors as they are stored and what describes it, atomically."""
    description = {"version": VERSION, "info": info}
    # One key only: safetensors writes several in any order, and the same generator must give the same file.
    metadata = {KEY: json.dumps(description, sort_keys=True)}
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        save_file(dict(tensors), unfinished, metadata)
        unfinished.chmod(0o644)  # safetensors makes it readable to its owner alone
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _storable(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype).contiguous()


def _computed_with(tensor: Tensor, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """What is stored in 8 bits stays so for now."""
    return tensor.to(device, tensor.dtype if tensor.dtype == torch.int8 else dtype)


def read_info(path: str | Path) -> GeneratorInfo:
    """The description of a generator file, without reading its weights. Raises `GeneratorFileError`."""
    try:
        info = GeneratorInfo.of(read_description(Path(path)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, GeneratorFileError):
            raise
        raise GeneratorFileError(f"{path}: its metadata does not describe a generator: {error!r}") from error
    if info.architecture not in ARCHITECTURES:
        raise GeneratorFileError(
            f"{path}: expected an architecture of {', '.join(ARCHITECTURES)}, got {info.architecture!r}"
        )
    return info


@loading_modes()
def load_generator(
    path: str | Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Generator:
    """Load a generator, frozen, on `device` in `dtype`. Raises GeneratorFileError if tensors are missing,
    surplus or misshapen.
    """
    info = read_info(path)
    try:
        with torch.device("meta"):  # shapes only: a description that does not fit its tensors costs no memory
            network = build_network(info.architecture, _as_arguments(info.arguments))
    except (TypeError, ValueError, RuntimeError) as error:
        raise GeneratorFileError(
            f"{path}: the arguments {info.arguments} do not build a {info.architecture}: {error}"
        ) from error
    expected: dict[str, tuple[int, ...]] = {
        f"network.{k}": tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith(COUNTER)
    }
    expected |= dict.fromkeys(STATISTICS, info.code_shape)
    with safe_open(path, "pt") as handle:
        got = {key: tuple(handle.get_slice(key).get_shape()) for key in handle.keys()}  # noqa: SIM118
        if got.keys() & set(PRIOR):  # both or none, of any number
            axes, prototypes = (got.get(name, (0,))[0] for name in PRIOR)
            expected |= {"code_axes": (axes, *info.code_shape), "code_prototypes": (prototypes, axes)}
            if AXES in got and handle.get_slice(AXES).get_dtype() == "I8":
                expected[AXIS_SCALE] = (axes,)
            if got.keys() & set(SAMPLES):
                samples = got.get("code_samples", (0,))[0]
                expected |= {"code_samples": (samples, axes), "code_sample_scale": (axes,)}
        for name in sorted(expected.keys() | got.keys()):
            if expected.get(name) != got.get(name):
                raise GeneratorFileError(
                    f"{path}: tensor {name!r}: expected shape {expected.get(name, 'no such tensor')}, "
                    f"got {got.get(name, 'nothing')}"
                )
        tensors = {key: _computed_with(handle.get_tensor(key), device, dtype) for key in got}
    weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    counters = {
        k: torch.zeros((), dtype=torch.long, device=device)
        for k in network.state_dict()
        if k.endswith(COUNTER)
    }
    network.load_state_dict(weights | counters, assign=True)
    if info.architecture == "compact":
        network = network.to(memory_format=torch.channels_last)
    axes = loaded_axes(tensors)
    if axes is not None:
        tensors[AXES] = axes
    statistics = {name: tensors[name] for name in (*STATISTICS, *PRIOR, *SAMPLES) if name in tensors}
    generator = Generator(info, network, **statistics)
    return generator.to(device=device, dtype=dtype)


def _as_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def file_sha256(path: str | Path) -> str:
    """The sha256 of a file's bytes, lowercase hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
