"""From a training's checkpoint to the file that the product loads: the averaged generator, its code
statistics and its description.
"""

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from worker.synthesis.generators import CompactNetwork, Generator, GeneratorInfo
from worker.training.bounds import statistics_of
from worker.training.checkpoint import read_checkpoint, without_prefix
from worker.training.preparation import load_prepared
from worker.training.prior import measured_prior
from worker.training.run import CHECKPOINT, SETTINGS
from worker.training.training import TrainingOptions

RECOMMENDED: dict[str, Any] = {
    "space": "whitened",
    "start": "prototype",
    "learning_rate": 0.04,
    "steps": 60,
    "decay": 1.0,
    "input_size": 112,
    "jitter": 4,
    "zoom": 1.35,
}
"""Recipe parameters for compact generators, found by search on the shipped one."""


def exported_generator(run_folder: Path, recommended: dict[str, Any] | None = None) -> Generator:
    """The averaged generator of the latest checkpoint in `run_folder`, ready for `save_generator`.

    Raises CheckpointError or DataError when the folder holds no training.
    """
    tensors, facts = read_checkpoint(run_folder / CHECKPOINT)
    prepared = load_prepared(run_folder / "prepared")
    index, options = prepared.index, TrainingOptions.from_facts(facts["options"])
    code_size = int(np.prod(index.code_shape))
    arguments = {"code_size": code_size, "widths": list(options.widths), "depths": list(options.depths)}
    network = CompactNetwork(code_size, options.widths, options.depths)
    network.load_state_dict(without_prefix(tensors, "average"))
    statistics = statistics_of(prepared.codes[: index.train])
    settings_file = run_folder / SETTINGS
    settings = json.loads(settings_file.read_text()) if settings_file.exists() else {}
    info = GeneratorInfo(
        architecture="compact",
        arguments=arguments,
        code_shape=index.code_shape,
        image_size=index.image_size,
        pixels="rgb_unit_tanh",
        encoder=index.encoder,
        encoder_layer=index.encoder_layer,
        encoder_sha256=index.encoder_sha256,
        recommended=copy.deepcopy(RECOMMENDED if recommended is None else recommended),
        training={
            "sources": list(index.sources),
            "train_pictures": index.train,
            "held_out_pictures": index.held_out,
            "encoder_input_size": index.encoder_input_size,
            "pictures_seen": int(facts["step"]) * options.batch,
            "steps": int(facts["step"]),
            "hours": round(float(facts.get("seconds", 0.0)) / 3600, 2),
            "command": "python -m worker.training " + shlex.join(settings["command"])
            if "command" in settings
            else "",
        },
    )
    prior = measured_prior(prepared.codes[: index.train], statistics)
    return Generator(
        info,
        network,
        statistics.mean,
        statistics.std,
        statistics.lower,
        prior.axes,
        prior.prototypes,
    )
