"""One architecture, tried with random weights as if it were somebody's own file of weights."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from imago_engine.generators import GeneratorInfo
from imago_engine.networks import LayerInfo, NetworkReference
from imago_engine.synthesis import DgnAm, Item, inspect, synthesize
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.inspection.input_sizes import input_sizes
from imago_engine.synthesis.networks.load import Network, NetworkError, load_network
from imago_engine.synthesis.networks.truncate import LayerError, Prefix
from imago_engine.synthesis.objectives import ObjectiveError

CLASSES = 11
"""A number that is no width of any layer, so that no other layer can be taken for the output by its width."""
REFUSALS = (NetworkError, LayerError, ObjectiveError)


@dataclass(frozen=True)
class Trial:
    """`outcome` is works, no output (its layers can be explained, what it returns cannot), refused, or fault:
    what must not be. `why` says more of the last three. `sizes` are its inputs in words."""

    id: str
    outcome: str
    why: str
    parameters: int
    size: int
    sizes: str
    layers: int
    output: str
    seconds: float


def attempt(id: str, folder: Path) -> Trial:
    """Make the architecture `torchvision:NAME` or `timm:NAME`, register its weights, inspect it, and make a
    picture. Raises what must not be raised; what is refused in words is an outcome."""
    began = time.monotonic()
    file = folder / "weights.safetensors"
    found: dict[str, Any] = {"parameters": 0, "size": 0, "sizes": "", "layers": 0, "output": ""}
    try:
        found["parameters"] = write_weights(id, file)
        network = load_network(NetworkReference("own.random", "file", id, str(file), CLASSES))
        outcome, why = _explain(network, found)
    except REFUSALS as error:
        outcome, why = "refused", error.reason if isinstance(error, NetworkError) else str(error)
    return Trial(id, outcome, why, seconds=round(time.monotonic() - began, 1), **found)


def write_weights(id: str, file: Path) -> int:
    """Random weights of an architecture as a safetensors file; returns how many numbers they are.

    Raises `NetworkError` where the architecture cannot be made with 11 classes at all.
    """
    library, _, name = id.partition(":")
    torch.manual_seed(0)
    try:
        if library == "timm":
            module: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES)
        else:
            module = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
    except Exception as error:
        raise NetworkError(f"the library itself cannot make it: {type(error).__name__}: {error}") from error
    state = {}
    for key, tensor in module.state_dict().items():
        state[key] = tensor.clone().contiguous()
        if tensor.is_floating_point() and not tensor.any():
            # Training begins with zeros in places; through them no picture changes anything.
            state[key].normal_(0, 0.02)
            if key.endswith("running_mean"):
                state[key].zero_()
    save_file(state, file)
    return sum(tensor.numel() for tensor in module.parameters())


def _explain(network: Network, found: dict[str, Any]) -> tuple[str, str]:
    layers = inspect(network)
    sizes = input_sizes(network)
    found |= {"layers": len(layers), "size": sizes.own, "sizes": "its own only"}
    if sizes.step is not None:
        steps = "" if sizes.step == 1 else f", steps of {sizes.step}"
        found["sizes"] = f"{sizes.least}–{sizes.most or ''}{steps}"
    output = next((layer for layer in reversed(layers) if layer.kind == "output"), None)
    if output is not None:
        found["output"] = output.name
        if wrong := _differs(network, output):
            return "fault", wrong
    layer = "output" if output is not None else layers[-1].name
    recipe = DgnAm(steps=2, learning_rate=0.1, bounds="none", input_size=112 if 112 in sizes else None)
    picture = synthesize(network, _generator(), layer, [Item(unit=0, seed=0)], recipe)[0]
    if picture.image.shape[2] != 3:
        return "fault", f"a picture of shape {picture.image.shape}"
    return ("works", "") if output is not None else ("no output", _returned(network))


@torch.no_grad()
def _differs(network: Network, output: LayerInfo) -> str:
    """How the output layer's values differ from what the network returns, or nothing: on two pictures,
    alone and together, up to a softmax, log-softmax or sigmoid."""
    generator = torch.Generator().manual_seed(1)
    side = network.preprocessing.size
    pictures = network.preprocessing(torch.rand(2, 3, side, side, generator=generator))
    for batch in (pictures[:1], pictures[1:], pictures):
        returned = network.module(batch)
        if not isinstance(returned, Tensor):
            return f"{output.name} is called the output, but the network returns {_returned(network)}"
        values = Prefix(network.module, output.name)(batch).flatten(1).float()
        same = (values, values.softmax(1), values.log_softmax(1), values.sigmoid())
        if not any(
            form.shape == returned.shape and torch.allclose(form, returned.float(), rtol=1e-3, atol=1e-5)
            for form in same
        ):
            return f"{output.name} is called the output, but its values are not what the network returns"
    return ""


@torch.no_grad()
def _returned(network: Network) -> str:
    side = network.preprocessing.size
    returned = network.module(network.preprocessing(torch.zeros(1, 3, side, side)))
    if isinstance(returned, Tensor):
        return f"a tensor {list(returned.shape)} that no layer gives"
    return f"a {type(returned).__name__}"


def _generator() -> Generator:
    """A small one with random weights: what its pictures show does not matter."""
    torch.manual_seed(0)
    widths = (8, 8, 8)
    arguments = {"code_size": 16, "widths": widths, "depths": (1, 1, 1), "style": 16, "finish": 4}
    info = GeneratorInfo("compact", arguments, (16,), 32, "rgb_unit_tanh", "none.random", "none", "")
    statistics = torch.zeros(16), torch.ones(16), torch.full((16,), -3.0)
    return Generator(info, build_network("compact", arguments), *statistics)
