"""A network and a generator so small that hundreds of pictures take seconds."""

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from imago_engine.generators import GeneratorInfo
from imago_engine.synthesis.generators.architectures import Generator, build_network
from imago_engine.synthesis.generators.files import save_generator

ARCHITECTURE = "test_efficientnet"
NETWORK_FILE, GENERATOR_FILE = "small-network.safetensors", "small-generator.safetensors"
CODE_SIZE, IMAGE_SIZE = 16, 32
CLASSES = 400
UNREACHABLE_UNIT = 399
"""An output whose weights are zero: nothing that the code does changes it."""


def write_network(folder: Path, seed: int = 0) -> Path:
    """A timm network with random weights as a safetensors file."""
    torch.manual_seed(seed)
    network = timm.create_model(ARCHITECTURE, num_classes=CLASSES)
    with torch.no_grad():
        network.get_parameter("classifier.weight")[UNREACHABLE_UNIT].zero_()
    path = folder / NETWORK_FILE
    save_file(network.state_dict(), path)
    return path


def write_generator(folder: Path, seed: int = 0) -> Path:
    """A compact generator with random weights; its encoder is only a name."""
    torch.manual_seed(seed)
    arguments = {"code_size": CODE_SIZE, "widths": [8, 8, 8], "depths": [1, 1, 1], "style": 16, "finish": 4}
    info = GeneratorInfo(
        architecture="compact",
        arguments=arguments,
        code_shape=(CODE_SIZE,),
        image_size=IMAGE_SIZE,
        pixels="rgb_unit_tanh",
        encoder="small.random",
        encoder_layer="global_pool",
        encoder_sha256="0" * 64,
        recommended={"learning_rate": 0.1, "input_size": IMAGE_SIZE, "steps": 10},
    )
    network = build_network(
        "compact", {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    )
    statistics = torch.zeros(CODE_SIZE), torch.ones(CODE_SIZE), torch.full((CODE_SIZE,), -3.0)
    path = folder / GENERATOR_FILE
    save_generator(path, Generator(info, network, *statistics))
    return path
