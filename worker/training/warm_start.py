"""Starting from a generator that was trained before, without the rest of its training."""

import json
from pathlib import Path

from worker.synthesis.generator_file import file_sha256, load_generator
from worker.training.recipes import OptionsError
from worker.training.training import Training


def warm_start(training: Training, file: Path) -> str:
    """Put the weights of a generator file into a new training; returns the file's sha256. The discriminator
    starts anew.

    Raises GeneratorFileError for a file that is none, OptionsError for a generator of another kind.
    """
    generator, index = load_generator(file), training.prepared.index
    recipe = training.recipe
    architecture, arguments = recipe.architecture(recipe.options, index.code_shape)
    wanted = {
        "architecture": architecture,
        "arguments": arguments,
        "encoder": index.encoder,
        "encoder_layer": index.encoder_layer,
        "encoder_sha256": index.encoder_sha256,
    }
    for name, value in wanted.items():
        found = getattr(generator.info, name)
        if json.dumps(found, sort_keys=True) != json.dumps(value, sort_keys=True):  # JSON has no tuples
            raise OptionsError(f"--warm-start {file}: expected a generator with {name} {value}, got {found}")
    weights = generator.network.state_dict()
    for name in {"generator", recipe.shipped}:
        recipe.modules[name].load_state_dict(weights)
    return file_sha256(file)
