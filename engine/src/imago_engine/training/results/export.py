"""From a training's checkpoint to the file that the product loads: the generator, its code statistics and its
description.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from imago_engine.generators import GeneratorInfo
from imago_engine.synthesis.generators.architectures import ARCHITECTURES, Generator, build_network
from imago_engine.synthesis.generators.files import save_generator
from imago_engine.training.data.preparation import load_prepared
from imago_engine.training.recipes import preset_named
from imago_engine.training.results.card import TrainingRecord, read_log, write_card
from imago_engine.training.results.code_statistics import statistics_of
from imago_engine.training.results.prior import measured_prior
from imago_engine.training.run.checkpoint import (
    CheckpointError,
    NotWritten,
    read_checkpoint,
    without_prefix,
)
from imago_engine.training.run.folder import CHECKPOINT, PREPARED
from imago_engine.training.run.origin import origin_of


def exported_generator(run_folder: Path, recommended: dict[str, Any] | None = None) -> Generator:
    """The generator of the latest checkpoint in `run_folder`, ready for `save_generator`.

    Raises CheckpointError or DataError when the folder holds no training.
    """
    return _Exported.of(run_folder, recommended).generator


def write_generator(
    run_folder: Path, out: Path, recommended: dict[str, Any] | None = None, dtype: torch.dtype = torch.float16
) -> Generator:
    """Write the generator of the latest checkpoint to `out` and its model card beside it, `<name>.md`.

    Raises CheckpointError or DataError when the folder holds no training, OSError when a file cannot be
    written.
    """
    exported = _Exported.of(run_folder, recommended)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_generator(out, exported.generator, dtype)
    except Exception as error:
        # Of a full disk safetensors tells by an error of its own kind.
        kind = NotWritten if isinstance(error, (OSError, SafetensorError)) else CheckpointError
        raise kind(f"cannot write {out}: {error}") from error
    record = TrainingRecord(
        options=exported.options,
        corrupt_pictures=exported.corrupt,
        log=read_log(run_folder),
    )
    write_card(out, exported.generator.info, record)
    return exported.generator


@dataclass(frozen=True)
class _Exported:
    generator: Generator
    options: dict[str, Any]
    corrupt: int

    @classmethod
    def of(cls, run_folder: Path, recommended: dict[str, Any] | None) -> "_Exported":
        tensors, facts = read_checkpoint(run_folder / CHECKPOINT)
        prepared = load_prepared(run_folder / PREPARED)
        index, preset = prepared.index, facts.get("preset", "default")
        recipe = preset_named(preset)
        options = recipe.recorded_options(facts["options"])
        architecture, arguments = recipe.architecture(options, index.code_shape)
        network = build_network(architecture, arguments)
        try:
            network.load_state_dict(without_prefix(tensors, recipe.shipped))
        except RuntimeError as error:
            raise CheckpointError(f"{run_folder / CHECKPOINT} lacks the generator: {error}") from error
        statistics = statistics_of(prepared.codes[: index.train])
        origin = origin_of(facts, run_folder)
        _, pixels = ARCHITECTURES[architecture]
        info = GeneratorInfo(
            architecture=architecture,
            arguments=arguments,
            code_shape=index.code_shape,
            image_size=index.image_size,
            pixels=pixels,
            encoder=index.encoder,
            encoder_layer=index.encoder_layer,
            encoder_sha256=index.encoder_sha256,
            recommended=copy.deepcopy(recipe.recommended if recommended is None else recommended),
            training={
                "preset": preset,
                "sources": list(index.sources),
                "train_pictures": index.train,
                "held_out_pictures": index.held_out,
                "encoder_input_size": index.encoder_input_size,
                **({} if index.encoder_grid is None else {"encoder_grid": index.encoder_grid}),
                "pictures_seen": int(facts["step"]) * options.batch,
                "steps": int(facts["step"]),
                "hours": round(float(facts.get("seconds", 0.0)) / 3600, 2),
                "computed_on": facts.get("computed_on", ""),
                "command": origin.published,
                "warm_start": origin.warm_start,
            },
        )
        prior = measured_prior(prepared.codes[: index.train], statistics)
        generator = Generator(
            info,
            network,
            statistics.mean,
            statistics.std,
            statistics.lower,
            prior.axes,
            prior.prototypes,
            *(prior.samples or ()),
        )
        return cls(generator, options.model_dump(), index.corrupt)
