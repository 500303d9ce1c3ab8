"""The default recipe: a projected GAN conditioned on the code, with a compact generator; it learns on two CPU
cores in hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from imago_engine.synthesis.generators.architectures import STANDARD_FLOOR
from imago_engine.synthesis.generators.compact import CompactNetwork
from imago_engine.training.data.feed import Batch
from imago_engine.training.data.preparation import PreparedIndex
from imago_engine.training.distributed.batch_norm import share_batch_norms
from imago_engine.training.distributed.shared_rows import SharedRows
from imago_engine.training.options import OptionsError
from imago_engine.training.recipes.ascent_like import AscentLikeCodes, AscentNumbers
from imago_engine.training.recipes.augmentation import Augmentation, mirrored
from imago_engine.training.recipes.captured_step import CapturedStep
from imago_engine.training.recipes.feature_network import FEATURE_CODE, FEATURE_NETWORK, TAPPED_CHANNELS
from imago_engine.training.recipes.losses import (
    ascent_code_loss,
    code_loss,
    feature_loss,
    layout_loss,
    texture_loss,
)
from imago_engine.training.recipes.moving_average import MovingAverage
from imago_engine.training.recipes.projected_discriminator import (
    Discriminator,
    adversarial_loss,
    discriminator_loss,
)
from imago_engine.training.recipes.reachable import ReachableCodes
from imago_engine.training.recipes.recipe import Context, Recipe, frozen, trained
from imago_engine.training.recipes.shared_pattern import SharedPattern
from imago_engine.training.recipes.step_inputs import StepInputs, drawn_inputs
from imago_engine.training.run.schedule import Schedule
from imago_engine.trainings import PRESETS, DefaultSettings

WIDTHS, DEPTHS, ROUNDS = (512, 288, 144, 64), (2, 2, 2, 1), (1, 2, 2, 1)
LOCAL = 128
STAGES = {128: 4, 64: 4, 32: 3}
FINISH = {128: 24, 64: 12, 32: 12}
PATCH = 64
CONDITION_PLACES = 2
JUDGES = ("discriminator", "second_discriminator")
"""Modules of a checkpoint: of the feature network, and of the second one."""
LOSSES = ("discriminator", "adversarial", "layout", "feature", "code", "texture", "pattern")
GRIDS = (1, 2, 4)
"""Places each way of codes whose layout is kept; other maps are taken as one vector."""


class ProjectedOptions(DefaultSettings):
    """The preset's settings, and what follows from the size of the pictures and `width`."""

    widths: Annotated[tuple[int, ...], Field(strict=False)] = WIDTHS
    depths: Annotated[tuple[int, ...], Field(strict=False)] = DEPTHS
    rounds: Annotated[tuple[int, ...], Field(strict=False)] = ()
    local: int = 0
    finish: int = FINISH[64]
    subpixel: bool = False
    noise: bool = False
    smooth: bool = False
    refined: bool = False
    blind: bool = False
    second_weights: str | None = None
    """Path of the second network's weights; None for those of the catalog."""
    second_sha256: str | None = None
    """Of these weights; None in checkpoints of earlier releases."""


class ProjectedRecipe(Recipe):
    preset = PRESETS["default"]
    Options = ProjectedOptions
    shipped = "average"
    recommended: ClassVar[dict[str, Any]] = {
        "space": "whitened",
        "start": "direction",
        "direction_weight": 0.35,
        "direction_codes": 512,
        "start_spread": 0.6,
        "learning_rate": 0.08,
        "steps": 60,
        "decay": 1.0,
        "input_size": 112,
        "jitter": 4,
        "zoom": 1.6,
    }
    """Found by search on the shipped generator."""
    before: ClassVar[Mapping[str, Any]] = {
        "pattern_weight": 0.0,
        **dict.fromkeys(("smooth", "refined", "blind"), False),
        "second_sha256": None,
    }

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
        condition = _condition(torch.zeros(1, *context.index.code_shape)).shape[1]
        self.judges = [_Judge(context.features, Discriminator(TAPPED_CHANNELS, condition))]
        if context.second is not None:
            channels, strides = context.second.channels, context.second.strides
            second = Discriminator(channels, condition, strides=strides, pixel_width=0)
            self.judges.append(_Judge(context.second, second))
        for judge in self.judges:
            judge.discriminator.to(device).to(memory_format=torch.channels_last).train()
        self.average = MovingAverage(self.network, options.average_decay)
        share_batch_norms(self.network, context.processes)
        self.pattern = SharedPattern(network.image_size).to(device)
        self.modules = {
            "generator": self.network,
            "average": self.average.module,
            "pattern": self.pattern,
        }
        # Collectives between processes are not recorded.
        self._captures = placement.captures and context.processes.size == 1
        rate = options.learning_rate
        adam = partial(
            torch.optim.Adam,
            lr=torch.tensor(rate, device=device) if self._captures else rate,
            betas=(0.0, 0.99),
            capturable=self._captures,
        )
        self.optimizers = {"generator_optimizer": (adam(self.network.parameters()), "generator")}
        for name, judge in zip(JUDGES, self.judges, strict=False):
            self.modules[name] = judge.discriminator
            self.optimizers[f"{name}_optimizer"] = (adam(trained(judge.discriminator)), name)
        self._ascent_like, self._reachable, prior = None, None, context.prior
        bare = reduced = torch.zeros(options.batch, dtype=torch.bool)
        if options.ascent_share and prior is not None:
            self._ascent_like = AscentLikeCodes(prior, device)
            bare = _every(options.ascent_share, options.batch)
        if options.reachable_share and prior is not None:
            self._reachable = ReachableCodes(prior, statistics.std + STANDARD_FLOOR, device)
            pictured = (~bare).nonzero().flatten()
            reduced = reduced.index_fill(0, pictured[_every(options.reachable_share, len(pictured))], True)
        self._part, self._all = context.processes.share(options.batch), SharedRows(context.processes)
        self._pictured, self._bare = (self._all.where(rows, device) for rows in (~bare, bare))
        self._reduced = self._all.where(reduced, device)
        self._edge = min(network.image_size, PATCH)
        self._mean = statistics.mean.to(device)
        self._scale = statistics.std.to(device) + STANDARD_FLOOR
        self._captured: tuple[bool, CapturedStep] | None = None

    @classmethod
    def architecture(
        cls, options: ProjectedOptions, code_shape: tuple[int, ...]
    ) -> tuple[str, dict[str, Any]]:
        sizes: dict[str, Any] = {"widths": options.widths, "depths": options.depths}
        if options.rounds:
            sizes["rounds"] = options.rounds
        if options.subpixel:
            sizes |= {"finish": options.finish, "subpixel": True, "noise": options.noise}
        sizes |= {name: True for name in ("smooth", "refined") if getattr(options, name)}
        channels, *places = code_shape
        if len(places) == 2 and places[0] == places[1] and places[0] in GRIDS:
            local = {"local": options.local} if options.local else {}
            return "compact", {"code_size": channels, "places": places[0], **sizes, **local}
        return "compact", {"code_size": int(np.prod(code_shape)), **sizes}

    @classmethod
    def completed(cls, options: ProjectedOptions, index: PreparedIndex) -> ProjectedOptions:
        stages = STAGES[index.image_size]
        return options.changed(
            widths=tuple(max(8, 2 * round(options.width * width / 2)) for width in WIDTHS[:stages]),
            depths=DEPTHS[:stages],
            rounds=ROUNDS[:stages],
            local=LOCAL,
            finish=FINISH[index.image_size],
            subpixel=index.image_size == 128,
            noise=index.image_size == 128,
            smooth=True,
            refined=index.image_size == 128,
            blind=True,
        )

    @classmethod
    def taking_over(cls, options: ProjectedOptions, checkpoint: Mapping[str, Any]) -> ProjectedOptions:
        """Networks of earlier releases are neither smooth nor refined, and go on so."""
        return options.changed(**{name: checkpoint.get(name, False) for name in ("smooth", "refined")})

    @property
    def measured_at(self) -> int:
        return self.options.feature_size

    def learning_rate(self, step: int, schedule: Schedule, now: float) -> float:
        return self.options.learning_rate * schedule.learning_rate_factor(step * self.options.batch, now)

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """What is drawn is drawn on the CPU; all that follows is computed on the device, without a word to
        the host.
        """
        inputs = drawn_inputs(batch, self._edge, self._ascent_like)
        trains_generator = step * self.options.batch >= self.options.head_start
        if step == 0:
            self._calibrate(inputs)
        values = self._computed(trains_generator)(inputs)
        self.average.update(self.network, step)
        return dict(zip(LOSSES, values.unbind(), strict=True))

    def _computed(self, trains_generator: bool) -> CapturedStep:
        """The step with or without the generator's update: another computation, and so another recording."""
        if self._captured is None or self._captured[0] != trains_generator:
            compute = partial(self._compute, trains_generator=trains_generator)
            self._captured = trains_generator, CapturedStep(compute, self._captures)
        return self._captured[1]

    def _calibrate(self, inputs: StepInputs) -> None:
        """Set once, from the first batch, how strong the features are that discriminators see."""
        real, _ = mirrored(inputs.real, inputs.code, inputs.flip)
        augment = Augmentation.of(inputs.augmentation, self.options.feature_size)
        with torch.no_grad(), self.context.placement.autocast():
            augmented = augment(real)
            for judge in self.judges:
                if judge.discriminator.is_calibrated:  # it comes from another training
                    continue
                taps = judge.look(augmented).taps
                judge.discriminator.calibrate([torch.sqrt(self._all.variance(tap.float())) for tap in taps])

    def _compute(self, inputs: StepInputs, *, trains_generator: bool) -> Tensor:
        """Train on one batch; returns `LOSSES`. Discriminators and generator share one pass of the generator.

        It may be recorded (see `CapturedStep`): nothing here may depend on the values of tensors.
        """
        o, placement, pictured, bare = self.options, self.context.placement, self._pictured, self._bare
        real, given = mirrored(inputs.real, inputs.code, inputs.flip)  # [N, 3, S, S], [N, *code_shape]
        augment = Augmentation.of(inputs.augmentation, o.feature_size)
        real_condition = self._judged_by(_condition((given - self._mean) / self._scale))  # [N, condition]
        drawn = self._with_ascent_like(given, inputs)
        code = self._with_reachable((drawn - self._mean) / self._scale)
        condition = self._judged_by(_condition(code))

        def patch(pictures: Tensor) -> Tensor:
            return _patch(pictures, inputs.corner, self._edge)

        with torch.no_grad(), placement.autocast():
            augmented = augment(real)
            seen_real = [judge.look(augmented) for judge in self.judges]
            real_mixed = [j.discriminator.mix(s.taps) for j, s in zip(self.judges, seen_real, strict=True)]
        with placement.autocast():
            # A network that has learned to draw with noise that stays is not to lose it midway.
            shifts = inputs.shifts if o.refined else None
            fake = self.network(code, shifts).float()  # [N, 3, S, S]
            augmented = augment(fake)
            seen_fake = [judge.look(augmented) for judge in self.judges]
            fake_mixed = [j.discriminator.mix(s.taps) for j, s in zip(self.judges, seen_fake, strict=True)]
        d_losses = []
        for name, judge, real_mix, fake_mix in zip(JUDGES, self.judges, real_mixed, fake_mixed, strict=False):
            with placement.autocast():
                judged_real = judge.discriminator(real_mix, real_condition, patch(real))
                detached = [mixture.detach() for mixture in fake_mix]
                judged_fake = judge.discriminator(detached, condition, patch(fake.detach()))
            d_losses.append(discriminator_loss(_float(judged_real), _float(judged_fake)))
            self.update(f"{name}_optimizer", d_losses[-1])

        adversarial, feature, meaning = [], [], []
        # The generator's step needs no gradient of the discriminators' parameters.
        with frozen([p for judge in self.judges for p in trained(judge.discriminator)]):
            for judge, fake_mix, made, wanted in zip(
                self.judges, fake_mixed, seen_fake, seen_real, strict=True
            ):
                with placement.autocast():
                    judged = judge.discriminator(fake_mix, condition, patch(fake))
                adversarial.append(adversarial_loss(_float(judged)))
                deep = [_float([pictured.taken(tap) for tap in seen.taps[-2:]]) for seen in (made, wanted)]
                feature.append(feature_loss(deep[0], deep[1], pictured))
                codes = [pictured.taken(seen.code).float() for seen in (made, wanted)]
                meaning.append(pictured.weight * code_loss(codes[0], codes[1], pictured))
            if bare.total and self._reads_own_codes:  # in every process, whether it has such rows or not
                found, asked = bare.taken(seen_fake[0].code), bare.taken(drawn)
                meaning.append(bare.weight * ascent_code_loss(found, asked, seen_real[0].code, self._all))
            drawings, photographs = pictured.taken(fake), pictured.taken(real)
            losses = {
                "discriminator": torch.stack(d_losses).mean(),
                "adversarial": torch.stack(adversarial).mean(),
                "layout": pictured.weight * layout_loss(drawings, photographs),
                "feature": pictured.weight * torch.stack(feature).mean(),
                "code": torch.stack(meaning).mean(),
                "texture": pictured.weight * texture_loss(drawings, photographs),
                "pattern": pictured.weight * self.pattern(drawings, photographs, pictured),
            }
            if trains_generator:
                g_loss = (
                    losses["adversarial"]
                    + o.layout_weight * losses["layout"]
                    + o.feature_weight * losses["feature"]
                    + o.code_weight * losses["code"]
                    + o.texture_weight * losses["texture"]
                    + o.pattern_weight * losses["pattern"]
                )
                self.update("generator_optimizer", g_loss)
        return torch.stack([losses[name].detach() for name in LOSSES])

    def _with_ascent_like(self, given: Tensor, inputs: StepInputs) -> Tensor:
        """Codes [N, *code_shape] of which those without pictures are ascent-like."""
        if self._ascent_like is None:
            return given
        numbers = AscentNumbers(inputs.pairs, inputs.jitter, inputs.far)
        drawn = self._ascent_like.codes(numbers)[self._part]
        return given.index_copy(0, self._bare.own, drawn[self._bare.own])

    def _with_reachable(self, standard: Tensor) -> Tensor:
        """Standardised codes [N, *code_shape], some of them reduced to what an ascent can reach."""
        if self._reachable is None:
            return standard
        return standard.index_copy(0, self._reduced.own, self._reachable.nearest(standard[self._reduced.own]))

    def _judged_by(self, condition: Tensor) -> Tensor:
        """What discriminators are told of codes, `condition` [N, numbers].

        Of codes that no picture has they are told nothing (0, the mean code), or these alone would give such
        pictures away; nor of the photographs in the same rows, so that they learn to judge by the picture.
        """
        if not self.options.blind:
            return condition
        return condition.index_fill(0, self._bare.own, 0.0)

    @property
    def _reads_own_codes(self) -> bool:
        """Whether the feature network's code is the mean over places of those that the generator inverts."""
        index = self.context.index
        same = index.encoder == FEATURE_NETWORK and index.encoder_layer in ("bn2", "global_pool")
        return same and index.code_shape[0] == FEATURE_CODE

    @torch.no_grad()
    def reconstruct(self, codes: Tensor) -> Tensor:
        result: Tensor = self.average.module((codes - self._mean) / self._scale)
        return result

    def remembered(self) -> dict[str, Any]:
        return {}

    def recall(self, remembered: dict[str, Any]) -> None:
        """There is nothing to recall."""


def _condition(code: Tensor) -> Tensor:
    """What discriminators know of a code [N, *code_shape]: [N, numbers], places averaged to 2×2 at most."""
    if code.ndim == 4 and max(code.shape[2:]) > CONDITION_PLACES:
        code = F.adaptive_avg_pool2d(code, CONDITION_PLACES)
    return code.flatten(1)


class _Seen(NamedTuple):
    """What a network sees in pictures: maps, and one vector of each picture [N, C]."""

    taps: list[Tensor]
    code: Tensor


@dataclass(frozen=True)
class _Judge:
    """A fixed network and the discriminator that learns from what it sees."""

    network: nn.Module
    discriminator: Discriminator

    def look(self, rgb: Tensor) -> _Seen:
        return _Seen(*self.network(rgb))


def _every(share: float, count: int) -> Tensor:
    """bool [count]: so large a share of the rows, evenly spread."""
    rows = torch.arange(count)
    return (rows + 1).mul(share).floor() > rows.mul(share).floor()


def _patch(pictures: Tensor, corner: Tensor, edge: int) -> Tensor:
    """A part of all pictures of a batch, at most PATCH pixels wide: whoever looks at pixels has no need of
    all of them.
    """
    if pictures.shape[-1] == edge:
        return pictures
    places = torch.arange(edge, device=corner.device)
    return pictures.index_select(2, corner[0] + places).index_select(3, corner[1] + places)


def _float(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.float() for tensor in tensors]
