"""A training's whole state in one safetensors file, replaced atomically: a full disk or a kill leaves the
previous one whole.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A checkpoint cannot be written or read; the message says which file and why."""


class NotWritten(CheckpointError):
    """It cannot be written: the disk is full, or not writable."""


class NotRead(CheckpointError):
    """The operating system cannot read it now."""


class OtherData(CheckpointError):
    """It was trained on other data than those that are here."""


def write_atomically(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file beside `path`, make it durable, then rename it over `path`.

    Raises NotWritten (the unfinished file is removed, `path` is as it was) when the disk is full or not
    writable.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, unfinished, metadata)
        with open(unfinished, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(unfinished, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise NotWritten(f"cannot write {path}: {error}; the previous file, if any, is untouched") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The optimizer's state under `prefix.<parameter name>.<state name>`."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    return {
        f"{prefix}.{names[parameter]}.{key}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor], prefix: str
) -> None:
    """Undo `optimizer_tensors`."""
    parameters = dict(module.named_parameters())
    capturable = optimizer.param_groups[0].get("capturable", False)
    for key, tensor in tensors.items():
        if key.startswith(prefix + "."):
            name, _, state = key[len(prefix) + 1 :].rpartition(".")
            parameter = parameters[name]
            held = optimizer.state[parameter].get(state)
            if isinstance(held, Tensor):  # in its place, where a recorded step looks for it
                held.copy_(tensor)
                continue
            # Adam counts its steps on the CPU wherever its parameters are, unless a GPU counts by itself.
            on_cpu = state == "step" and not capturable
            device = torch.device("cpu") if on_cpu else parameter.device
            optimizer.state[parameter][state] = tensor.to(device, copy=True)


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same values, their names behind a prefix."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names have the prefix, without it."""
    return {
        name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")
    }


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts (step, options, schedule) of a checkpoint. Raises CheckpointError, of which
    NotRead may pass."""
    facts = read_facts(path)
    try:
        with safe_open(path, "pt") as handle:
            return {key: handle.get_tensor(key) for key in handle.keys()}, facts  # noqa: SIM118
    except OSError as error:
        raise NotRead(f"{path} cannot be read: {error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a checkpoint of a training: {error}") from error


def read_facts(path: Path) -> dict[str, Any]:
    """The facts alone. Raises CheckpointError for a file that is none, or that was cut short."""
    try:
        with safe_open(path, "pt") as handle:
            facts: dict[str, Any] = json.loads((handle.metadata() or {})["facts"])
            return facts
    except OSError as error:
        raise NotRead(f"{path} cannot be read: {error}") from error
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of a training: {error}") from error
