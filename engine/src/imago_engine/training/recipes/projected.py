"""The default recipe: a projected GAN conditioned on the code, with a compact generator; it learns on two CPU
cores in hours.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR
from imago_engine.synthesis.generators.compact import CompactNetwork
from imago_engine.training.data.feed import Batch
from imago_engine.training.data.preparation import PreparedIndex
from imago_engine.training.distributed.batch_norm import share_batch_norms
from imago_engine.training.options import OptionsError
from imago_engine.training.recipes.augmentation import Augmentation, mirrored
from imago_engine.training.recipes.feature_network import TAPPED_CHANNELS
from imago_engine.training.recipes.losses import code_loss, feature_loss, layout_loss, texture_loss
from imago_engine.training.recipes.moving_average import MovingAverage
from imago_engine.training.recipes.projected_discriminator import (
    Discriminator,
    adversarial_loss,
    discriminator_loss,
)
from imago_engine.training.recipes.recipe import Context, Recipe, set_requires_grad, trained
from imago_engine.training.run.schedule import Schedule
from imago_engine.trainings import PRESETS, DefaultSettings

WIDTHS, DEPTHS = (384, 208, 96, 48), (2, 2, 2, 1)
STAGES = {128: 4, 64: 4, 32: 3}
FINISH = {128: 24, 64: 12, 32: 12}
PATCH = 64
GRIDS = (1, 2, 4)
"""Places each way of codes whose layout is kept; other maps are taken as one vector."""


class ProjectedOptions(DefaultSettings):
    """The preset's settings, and what follows from the size of the pictures and `width`."""

    widths: Annotated[tuple[int, ...], Field(strict=False)] = WIDTHS
    depths: Annotated[tuple[int, ...], Field(strict=False)] = DEPTHS
    finish: int = FINISH[64]
    subpixel: bool = False
    noise: bool = False


class ProjectedRecipe(Recipe):
    preset = PRESETS["default"]
    Options = ProjectedOptions
    shipped = "average"
    recommended: ClassVar[dict[str, Any]] = {
        "space": "whitened",
        "start": "prototypes",
        "learning_rate": 0.08,
        "steps": 60,
        "decay": 1.0,
        "input_size": 112,
        "jitter": 4,
        "zoom": 1.6,
    }
    """Found by search on the shipped generator."""

    options: ProjectedOptions

    def __init__(self, options: ProjectedOptions, context: Context) -> None:
        super().__init__(options, context)
        placement, statistics = context.placement, context.statistics
        # On the CPU whatever the device: the same seed then starts from the same weights everywhere.
        torch.manual_seed(options.seed)
        _, arguments = self.architecture(options, context.index.code_shape)
        network = CompactNetwork(**arguments)
        if network.image_size != context.index.image_size:
            raise OptionsError(
                f"{len(options.widths)} widths make pictures of {network.image_size} pixels; "
                f"the data were prepared at {context.index.image_size}"
            )
        device = placement.device
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        judge = Discriminator(TAPPED_CHANNELS, context.code_size)
        self.discriminator = judge.to(device).to(memory_format=torch.channels_last).train()
        self.average = MovingAverage(self.network, options.average_decay)
        share_batch_norms(self.network, context.processes)
        self.modules = {
            "generator": self.network,
            "average": self.average.module,
            "discriminator": self.discriminator,
        }
        self._judged = trained(self.discriminator)
        self.optimizers = {
            "generator_optimizer": (
                torch.optim.Adam(self.network.parameters(), options.learning_rate, (0.0, 0.99)),
                "generator",
            ),
            "discriminator_optimizer": (
                torch.optim.Adam(self._judged, options.learning_rate, (0.0, 0.99)),
                "discriminator",
            ),
        }
        self._mean = statistics.mean.to(device)
        self._scale = statistics.std.to(device) + STANDARD_FLOOR

    @classmethod
    def architecture(
        cls, options: ProjectedOptions, code_shape: tuple[int, ...]
    ) -> tuple[str, dict[str, Any]]:
        sizes: dict[str, Any] = {"widths": options.widths, "depths": options.depths}
        if options.subpixel:
            sizes |= {"finish": options.finish, "subpixel": True, "noise": options.noise}
        channels, *places = code_shape
        if len(places) == 2 and places[0] == places[1] and places[0] in GRIDS:
            return "compact", {"code_size": channels, "places": places[0], **sizes}
        return "compact", {"code_size": int(np.prod(code_shape)), **sizes}

    @classmethod
    def completed(cls, options: ProjectedOptions, index: PreparedIndex) -> ProjectedOptions:
        stages = STAGES[index.image_size]
        return options.changed(
            widths=tuple(max(8, 2 * round(options.width * width / 2)) for width in WIDTHS[:stages]),
            depths=DEPTHS[:stages],
            finish=FINISH[index.image_size],
            subpixel=index.image_size == 128,
            noise=index.image_size == 128,
        )

    @property
    def measured_at(self) -> int:
        return self.options.feature_size

    def learning_rate(self, step: int, schedule: Schedule, now: float) -> float:
        return self.options.learning_rate * schedule.learning_rate_factor(step * self.options.batch, now)

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Discriminator and generator share one pass of the generator."""
        o, placement, processes = self.options, self.context.placement, self.context.processes
        device = placement.device
        flip = torch.rand(batch.count, 1, 1, 1, generator=batch.random)[batch.part].to(device) < 0.5
        real, given = mirrored(batch.real, batch.code, flip)
        augment = Augmentation.draw(batch.count, o.feature_size, batch.random).part(batch.part).to(device)
        code = (given - self._mean) / self._scale
        condition = code.flatten(1)

        with torch.no_grad(), placement.autocast():
            real_taps, real_code = self.context.features(augment(real))
            if step == 0:
                self.discriminator.calibrate(
                    [torch.sqrt(processes.variance(tap.float())) for tap in real_taps]
                )
            real_mixed = self.discriminator.mix(real_taps)
        with placement.autocast():
            fake = self.network(code).float()
            fake_taps, fake_code = self.context.features(augment(fake))
            fake_mixed = self.discriminator.mix(fake_taps)
            patch = _patch(real.shape[-1], batch.random)
            judged_real = self.discriminator(real_mixed, condition, real[patch])
            detached = [mixture.detach() for mixture in fake_mixed]
            judged_fake = self.discriminator(detached, condition, fake.detach()[patch])
        d_loss = discriminator_loss(_float(judged_real), _float(judged_fake))
        self.update("discriminator_optimizer", d_loss)

        set_requires_grad(self._judged, False)  # the generator's step needs no gradient of them
        with placement.autocast():
            judged = self.discriminator(fake_mixed, condition, fake[patch])
        losses = {
            "discriminator": d_loss,
            "adversarial": adversarial_loss(_float(judged)),
            "layout": layout_loss(fake, real),
            "feature": feature_loss(_float(fake_taps[2:]), _float(real_taps[2:]), processes),
            "code": code_loss(fake_code.float(), real_code.float(), processes),
            "texture": texture_loss(fake, real),
        }
        g_loss = (
            losses["adversarial"]
            + o.layout_weight * losses["layout"]
            + o.feature_weight * losses["feature"]
            + o.code_weight * losses["code"]
            + o.texture_weight * losses["texture"]
        )
        if step * o.batch >= o.head_start:
            self.update("generator_optimizer", g_loss)
        set_requires_grad(self._judged, True)
        self.average.update(self.network, step)
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def reconstruct(self, codes: Tensor) -> Tensor:
        result: Tensor = self.average.module((codes - self._mean) / self._scale)
        return result

    def remembered(self) -> dict[str, Any]:
        return {}

    def recall(self, remembered: dict[str, Any]) -> None:
        """There is nothing to recall."""


def _patch(size: int, random: torch.Generator) -> tuple[slice, ...]:
    """Index of a part of all pictures of a batch, at most PATCH pixels wide: whoever looks at pixels has no
    need of all of them.
    """
    edge = min(size, PATCH)
    top, left = torch.randint(size - edge + 1, (2,), generator=random).tolist()
    return (slice(None), slice(None), slice(top, top + edge), slice(left, left + edge))


def _float(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.float() for tensor in tensors]
