"""The tensors of a safetensors file, under the names and in the types that a module expects."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from imago_engine.synthesis.sources.network_source import NetworkError, OutOfReach

SHOWN = 5  # names listed of each kind of mistake
WRAPPERS = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and training code that holds a network as a part put before its names."""
_INNER_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Those that also come within a name, where only a part was wrapped. No network calls its own parts so."""
_COUNTERS = ("num_batches_tracked", "n_averaged")
"""Counters of steps, which play no part in inference: converters leave them out, averaged models add one."""
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of the file by their plain names, and its metadata. Raises `NetworkError`."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except OSError as error:  # the disk's fault, or its folder's, not that of the bytes
        raise OutOfReach(f"weights {path.name}: cannot be read ({error})") from error
    except Exception as error:  # of its own kind or Python's: whatever a reader of foreign bytes raises
        raise NetworkError(f"weights {path.name}: expected a safetensors file ({error})") from error
    return plain_names(tensors), metadata


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, wrappers' prefixes taken off their names, in any order and number.

    A prefix goes only where all names have it, so that a network's own part may be called `model`. Counters
    of training steps are left out. Raises `NetworkError` where two names become one.
    """
    names = {
        name: _without(name, _INNER_WRAPPERS) for name in tensors if name.rpartition(".")[2] not in _COUNTERS
    }
    while names and (
        prefix := next((p for p in WRAPPERS if all(n.startswith(p) for n in names.values())), None)
    ):
        names = {name: plain.removeprefix(prefix) for name, plain in names.items()}
    found: dict[str, Tensor] = {}
    for name, plain in names.items():
        if plain in found:
            raise NetworkError(
                f"two tensors are called {plain!r} once wrappers' prefixes are taken off (one is {name!r})"
            )
        found[plain] = tensors[name]
    return found


def _without(name: str, parts: tuple[str, ...]) -> str:
    for part in parts:
        name = name.removeprefix(part).replace(f".{part}", ".")
    return name


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Load `state` if its names, shapes, types and values are such as the module's; else raise
    `NetworkError`, which names the tensors."""
    expected = {k: v for k, v in module.state_dict().items() if k.rpartition(".")[2] not in _COUNTERS}
    _refuse(
        f"the weights do not fit {architecture}: tensors ",
        {
            "missing": [k for k in expected if k not in state],
            "unexpected": [k for k in state if k not in expected],
            "of another shape": [
                f"{k} is {list(state[k].shape)}, expected {list(expected[k].shape)}"
                for k in expected
                if k in state and state[k].shape != expected[k].shape
            ],
        },
    )
    _refuse(
        "the weights have tensors of types that cannot be read as they are (floats may be float16, bfloat16, "
        "float32 or float64; quantized weights have to be turned into those): ",
        {
            "": [
                f"{k} is {_type(state[k])}, expected {_type(v)}"
                for k, v in expected.items()
                if not _fits(state[k], v)
            ]
        },
    )
    converted = {k: state[k].to(v.dtype) for k, v in expected.items()}
    floats = {k: v for k, v in converted.items() if v.is_floating_point()}
    _refuse(
        "the weights have values that are not finite, in ",
        {"": _names(floats, lambda v: not bool(torch.isfinite(v).all()))},
    )
    variances = {k: v for k, v in floats.items() if k.rpartition(".")[2] == "running_var"}
    _refuse(
        "the weights have negative variances, in ", {"": _names(variances, lambda v: bool((v < 0).any()))}
    )
    whole = module.state_dict()  # with what a file does not have: counters, and the versions of the parts
    whole.update(converted)
    module.load_state_dict(whole)


def _names(tensors: Mapping[str, Tensor], wrong: Callable[[Tensor], bool]) -> list[str]:
    return [name for name, tensor in tensors.items() if wrong(tensor)]


def _refuse(introduction: str, mistakes: Mapping[str, list[str]]) -> None:
    """Raise `NetworkError` if there is any mistake; each kind is named with its first few."""
    found = []
    for kind, names in mistakes.items():
        listed = "; ".join(names[:SHOWN]) + ("; …" if len(names) > SHOWN else "")
        if names:
            found.append(f"{len(names)} {kind} ({listed})" if kind else listed)
    if found:
        raise NetworkError(introduction + ", ".join(found))


def _fits(given: Tensor, expected: Tensor) -> bool:
    """Whether the numbers mean the same in the expected type. Quantized and packed ones do not: their scales
    lie elsewhere."""
    if expected.is_floating_point():
        return given.dtype in _FLOATS
    if expected.is_complex():
        return given.is_complex()
    if given.is_floating_point() or given.is_complex():
        return False
    least, most = (0, 1) if expected.dtype == torch.bool else _limits(expected)
    whole = given.to(torch.int64)
    return bool((whole >= least).all() and (whole <= most).all())


def _limits(expected: Tensor) -> tuple[int, int]:
    info = torch.iinfo(expected.dtype)
    return int(info.min), int(info.max)


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
