"""One training: networks, optimizers and data order, advanced a step at a time and saved whole.

Everything random is drawn from the seed and the step's number, so a training that is killed and resumed goes
on exactly as if it had never stopped; there is no random state to save.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worker.synthesis.generators import STANDARD_FLOOR, CompactNetwork
from worker.training.augmentation import Augmentation
from worker.training.average import MovingAverage
from worker.training.bounds import statistics_of
from worker.training.checkpoint import (
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    with_prefix,
    without_prefix,
    write_atomically,
)
from worker.training.discriminator import Discriminator, adversarial_loss, discriminator_loss
from worker.training.features import TAPPED_CHANNELS, FeatureNetwork
from worker.training.losses import code_loss, feature_loss, layout_loss, texture_loss
from worker.training.preparation import Prepared
from worker.training.schedule import Schedule


@dataclass(frozen=True)
class TrainingOptions:
    """What a training is, apart from its data and its schedule. `feature_size` is the discriminator's input
    in pixels.
    """

    batch: int = 32
    seed: int = 0
    learning_rate: float = 3e-4
    feature_size: int = 80
    layout_weight: float = 2.0
    feature_weight: float = 0.5
    code_weight: float = 0.5
    texture_weight: float = 4.0
    average_decay: float = 0.999
    widths: tuple[int, ...] = (384, 208, 96, 48)
    depths: tuple[int, ...] = (2, 2, 2, 1)

    @classmethod
    def from_facts(cls, fields: dict[str, Any]) -> "TrainingOptions":
        """From a checkpoint, where tuples are lists."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


def batch_rows(count: int, batch: int, step: int, seed: int) -> np.ndarray:
    """The rows of step `step` (0-based): every row once an epoch, in an order that depends on seed and epoch
    only.
    """
    per_epoch = count // batch
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return order[place * batch : (place + 1) * batch]


class Training:
    """The state of a training and its step. `schedule` may differ from run to run; the rest is fixed by the
    first.
    """

    def __init__(
        self, prepared: Prepared, features: FeatureNetwork, options: TrainingOptions, schedule: Schedule
    ) -> None:
        if prepared.index.train < options.batch:
            raise ValueError(f"a batch of {options.batch} needs as many pictures, got {prepared.index.train}")
        self.prepared, self.features, self.options, self.schedule = prepared, features, options, schedule
        self.statistics = statistics_of(prepared.codes[: prepared.index.train])
        torch.manual_seed(options.seed)
        code_size = int(np.prod(prepared.index.code_shape))
        self.arguments: dict[str, Any] = {
            "code_size": code_size,
            "widths": options.widths,
            "depths": options.depths,
        }
        network = CompactNetwork(**self.arguments)
        if network.image_size != prepared.index.image_size:
            raise ValueError(
                f"{len(options.widths)} widths make pictures of {network.image_size} pixels; "
                f"the data were prepared at {prepared.index.image_size}"
            )
        self.generator = network.to(memory_format=torch.channels_last).train()
        self.discriminator = (
            Discriminator(TAPPED_CHANNELS, code_size).to(memory_format=torch.channels_last).train()
        )
        self.average = MovingAverage(self.generator, options.average_decay)
        judged = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), options.learning_rate, (0.0, 0.99)
        )
        self.discriminator_optimizer = torch.optim.Adam(judged, options.learning_rate, (0.0, 0.99))
        self.step_number = 0
        self.seconds = 0.0

    @property
    def pictures(self) -> int:
        """Pictures seen so far."""
        return self.step_number * self.options.batch

    def standardised(self, rows: np.ndarray) -> Tensor:
        codes = torch.from_numpy(np.asarray(self.prepared.codes[rows]))
        return (codes - self.statistics.mean) / (self.statistics.std + STANDARD_FLOOR)

    def pictures_of(self, rows: np.ndarray) -> Tensor:
        """RGB in [−1, 1], [N, 3, S, S], channels last."""
        return (
            torch.from_numpy(np.asarray(self.prepared.images[rows]))
            .permute(0, 3, 1, 2)
            .float()
            .div_(127.5)
            .sub_(1)
        )

    def step(self) -> dict[str, float]:
        """One step of discriminator and generator on one batch, sharing one pass of the generator. Returns
        the losses.
        """
        o = self.options
        random = torch.Generator().manual_seed(o.seed * 1_000_003 + self.step_number)
        rows = np.sort(batch_rows(self.prepared.index.train, o.batch, self.step_number, o.seed))
        code, real = self.standardised(rows), self.pictures_of(rows)
        flip = torch.rand(len(rows), 1, 1, 1, generator=random) < 0.5
        real = torch.where(flip, real.flip(3), real)
        augment = Augmentation.draw(len(rows), o.feature_size, random)
        factor = self.schedule.learning_rate_factor(self.pictures, time.time())
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = o.learning_rate * factor

        with torch.no_grad():
            real_taps, real_code = self.features(augment(real))
            if self.step_number == 0:
                self.discriminator.calibrate(real_taps)
            real_mixed = self.discriminator.mix(real_taps)
        fake = self.generator(code)
        fake_taps, fake_code = self.features(augment(fake))
        fake_mixed = self.discriminator.mix(fake_taps)

        d_loss = discriminator_loss(
            self.discriminator(real_mixed, code), self.discriminator([m.detach() for m in fake_mixed], code)
        )
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        d_loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimizer.step()

        judged = [p for p in self.discriminator.parameters() if p.requires_grad]
        _set_requires_grad(judged, False)  # the generator's step needs no gradient of them
        adversarial = adversarial_loss(self.discriminator(fake_mixed, code))
        layout = layout_loss(fake, real)
        feature = feature_loss(fake_taps[2:], real_taps[2:])
        meaning = code_loss(fake_code, real_code)
        texture = texture_loss(fake, real)
        g_loss = (
            adversarial
            + o.layout_weight * layout
            + o.feature_weight * feature
            + o.code_weight * meaning
            + o.texture_weight * texture
        )
        self.generator_optimizer.zero_grad(set_to_none=True)
        g_loss.backward()  # type: ignore[no-untyped-call]
        _set_requires_grad(judged, True)
        self.generator_optimizer.step()
        self.average.update(self.generator, self.step_number)
        self.step_number += 1
        losses = {
            "discriminator": d_loss,
            "adversarial": adversarial,
            "layout": layout,
            "feature": feature,
            "code": meaning,
            "texture": texture,
        }
        return dict(zip(losses, torch.stack(list(losses.values())).detach().tolist(), strict=True))

    @torch.no_grad()
    def reconstructions(self, rows: np.ndarray) -> Tensor:
        """What the averaged generator makes of the rows' codes: RGB in [−1, 1], [N, 3, S, S]."""
        result: Tensor = self.average.module(self.standardised(rows))
        return result

    def save(self, path: Path, **facts: Any) -> None:
        """Write everything that `restore` needs."""
        tensors = {
            **with_prefix(self.generator.state_dict(), "generator"),
            **with_prefix(self.average.module.state_dict(), "average"),
            **with_prefix(self.discriminator.state_dict(), "discriminator"),
            **optimizer_tensors(self.generator_optimizer, self.generator, "generator_optimizer"),
            **optimizer_tensors(self.discriminator_optimizer, self.discriminator, "discriminator_optimizer"),
        }
        own = {
            "step": self.step_number,
            "seconds": self.seconds,
            "options": asdict(self.options),
            "schedule": asdict(self.schedule),
            **facts,
        }
        write_atomically(path, tensors, {"facts": json.dumps(own)})

    def restore(self, path: Path) -> dict[str, Any]:
        """Continue from a checkpoint; returns its facts."""
        tensors, facts = read_checkpoint(path)
        self.generator.load_state_dict(without_prefix(tensors, "generator"))
        self.average.module.load_state_dict(without_prefix(tensors, "average"))
        self.discriminator.load_state_dict(without_prefix(tensors, "discriminator"))
        restore_optimizer(self.generator_optimizer, self.generator, tensors, "generator_optimizer")
        restore_optimizer(
            self.discriminator_optimizer, self.discriminator, tensors, "discriminator_optimizer"
        )
        self.step_number, self.seconds = int(facts["step"]), float(facts.get("seconds", 0.0))
        return facts


def _set_requires_grad(parameters: list[nn.Parameter], wanted: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(wanted)
