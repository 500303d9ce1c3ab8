"""The released DeePSiM recipe (Dosovitskiy & Brox 2016): squared errors of pixels and of a comparator's
features, and an adversary, in the units of the authors' Caffe solver.
"""

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from imago_engine.synthesis.fitting import Fit
from imago_engine.synthesis.generators.architectures import CAFFE_MEAN_BGR, build_network
from imago_engine.synthesis.networks.load import load_network
from imago_engine.synthesis.networks.truncate import submodule
from imago_engine.training.data.feed import Batch
from imago_engine.training.data.preparation import PreparedIndex
from imago_engine.training.options import OptionsError
from imago_engine.training.recipes.deepsim.balance import Balance
from imago_engine.training.recipes.deepsim.caffe_loss import euclidean_loss, softmax_loss
from imago_engine.training.recipes.deepsim.comparator import Comparator, last_layer_with_places
from imago_engine.training.recipes.deepsim.discriminator import (
    MADE,
    REAL,
    DeepsimDiscriminator,
    dropout_masks,
)
from imago_engine.training.recipes.recipe import Context, Recipe, set_requires_grad, trained
from imago_engine.training.run.schedule import Schedule
from imago_engine.trainings import PRESETS, DeepsimSettings


class DeepsimRecipe(Recipe):
    preset = PRESETS["deepsim"]
    Options = DeepsimSettings
    shipped = "generator"
    recommended: ClassVar[dict[str, Any]] = {
        "learning_rate": 8.0,
        "learning_rate_end": 1e-10,
        "steps": 200,
        "decay": 0.99,
        "bounds_k": 3.0,
    }
    """Published for output neurons of AlexNet-like networks (Nguyen et al. 2016)."""

    options: DeepsimSettings

    def __init__(
        self, options: DeepsimSettings, context: Context, comparator: Comparator | None = None
    ) -> None:
        """The comparator is loaded by its name in `options` unless it is given."""
        super().__init__(options, context)
        if context.index.image_size not in self.preset.image_sizes:
            raise OptionsError(
                f"preset deepsim makes pictures of 256 pixels; the data were prepared at "
                f"{context.index.image_size}"
            )
        device = context.placement.device
        torch.manual_seed(options.seed)
        network = build_network(*self.architecture(options, context.index.code_shape))
        for layer in network.modules():
            if isinstance(layer, nn.ConvTranspose2d):  # as published, they stay 0
                assert layer.bias is not None
                layer.bias.requires_grad_(False)
        self.network = network.to(device)
        self.discriminator = DeepsimDiscriminator(context.code_size).to(device)
        self.comparator = comparator or _named_comparator(options, device)
        self.balance = Balance()
        self.modules = {"generator": self.network, "discriminator": self.discriminator}
        self.optimizers = {
            f"{name}_optimizer": (
                # Caffe adds the decay to the gradient, as torch's Adam (not AdamW) does.
                torch.optim.Adam(
                    trained(module), options.learning_rate, (0.9, 0.999), weight_decay=options.weight_decay
                ),
                name,
            )
            for name, module in self.modules.items()
        }
        self._judged = trained(self.discriminator)
        self._view = Fit.plan("auto", context.index.image_size, options.feature_size)
        self._mean = torch.tensor(CAFFE_MEAN_BGR, device=device).view(3, 1, 1)

    @classmethod
    def architecture(
        cls, options: DeepsimSettings, code_shape: tuple[int, ...]
    ) -> tuple[str, dict[str, Any]]:
        """The published convolutional one for codes of pool5's shape, else the one for vectors."""
        if code_shape == (256, 6, 6):
            return "deepsim-pool5", {}
        return "deepsim-fc6", {"code_size": int(np.prod(code_shape))}

    @classmethod
    def completed(cls, options: DeepsimSettings, index: PreparedIndex) -> DeepsimSettings:
        comparator = options.comparator or index.encoder
        network = load_network(comparator)
        layer = options.comparator_layer or last_layer_with_places(network)
        submodule(network.module, layer)  # a name that does not exist is told before anything is trained
        return options.changed(comparator=comparator, comparator_layer=layer)

    @property
    def measured_at(self) -> int:
        return 80  # as the default recipe, so that their figures can be compared

    def learning_rate(self, step: int, schedule: Schedule, now: float) -> float:
        return self.options.learning_rate * 0.5 ** sum(step >= at for at in self.options.halve_at)

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        o, placement, balance = self.options, self.context.placement, self.balance
        masks = [
            tuple(mask[batch.part].to(placement.device) for mask in dropout_masks(batch.count, batch.random))
            for _ in range(3)
        ]
        real, code = self._as_bgr(batch.real), batch.code
        with torch.set_grad_enabled(balance.generator_trains), placement.autocast():
            made = self.network(code).float()
        seen, seen_made = self._view(real), self._view(made)

        with torch.set_grad_enabled(balance.discriminator_trains), placement.autocast():
            judged_real = self.discriminator(seen, code, masks[0])
            judged_made = self.discriminator(seen_made.detach(), code, masks[1])
        judging = softmax_loss(judged_real.float(), REAL) + softmax_loss(judged_made.float(), MADE)
        d_loss = o.adversarial_weight * judging
        if balance.discriminator_trains:
            self.update("discriminator_optimizer", d_loss)

        set_requires_grad(self._judged, False)
        with torch.set_grad_enabled(balance.generator_trains), placement.autocast():
            fooled = self.discriminator(seen_made, code, masks[2]).float()
            features = self.comparator(self._as_rgb(seen_made)).float()
        with torch.no_grad(), placement.autocast():
            wanted = self.comparator(self._as_rgb(seen)).float()
        losses = {
            "discriminator": d_loss,
            "adversarial": o.adversarial_weight * softmax_loss(fooled, REAL),
            "pixel": o.pixel_weight * euclidean_loss(made, real),
            "feature": o.feature_weight * euclidean_loss(features, wanted),
        }
        if balance.generator_trains:
            self.update("generator_optimizer", losses["adversarial"] + losses["pixel"] + losses["feature"])
        set_requires_grad(self._judged, True)
        result = {name: loss.detach() for name, loss in losses.items()}
        for name, trains in asdict(balance).items():
            result[name] = torch.tensor(float(trains), device=placement.device)
        opponents = self.context.processes.mean(torch.stack([result["discriminator"], result["adversarial"]]))
        balance.after_step(float(opponents[0] / opponents[1].clamp(min=1e-12)))
        return result

    @torch.no_grad()
    def reconstruct(self, codes: Tensor) -> Tensor:
        return self._as_rgb(self.network(codes)).clamp(0, 1) * 2 - 1

    def remembered(self) -> dict[str, Any]:
        return {"balance": asdict(self.balance)}

    def recall(self, remembered: dict[str, Any]) -> None:
        self.balance = Balance(**remembered["balance"])

    def _as_bgr(self, rgb: Tensor) -> Tensor:
        """RGB in [−1, 1] → BGR in [0, 255] minus the Caffe mean."""
        return (rgb.flip(1) + 1) * 127.5 - self._mean

    def _as_rgb(self, bgr: Tensor) -> Tensor:
        """BGR minus the Caffe mean → RGB in [0, 1], not clamped."""
        return (bgr + self._mean).flip(1) / 255


def _named_comparator(options: DeepsimSettings, device: torch.device) -> Comparator:
    assert options.comparator is not None  # both are settled by `completed`
    assert options.comparator_layer is not None
    return Comparator(load_network(options.comparator, device), options.comparator_layer)
