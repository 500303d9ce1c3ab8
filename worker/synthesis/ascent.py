"""DGN-AM: climb from a code to the picture that excites a unit most (Nguyen et al. 2016, arXiv 1605.09304).

One step of one item, independent of all others in its batch:

    lr_i = lr + (lr_end − lr) · i / steps
    g    = ∂ activation(fit(G(c))) / ∂c
    c    ← decay · clip(c + lr_i · g / mean|g|)

The picture kept is the last one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.synthesis.anatomy import TracedLayer, anatomy
from worker.synthesis.bounds import Bounds
from worker.synthesis.fitting import Fit, shifted
from worker.synthesis.generators import Generator
from worker.synthesis.inspection import find_layer
from worker.synthesis.metrics import Prediction, as_images, from_bytes, to_bytes, top_predictions
from worker.synthesis.networks import Network
from worker.synthesis.objectives import UnitObjective
from worker.synthesis.receptive_field import Box
from worker.synthesis.techniques import DgnAm
from worker.synthesis.truncation import Prefix

PATIENCE = 8
"""Steps without any gradient after which an item is given up: nothing moves its code but the decay."""


class Stop(Exception):
    """Raised by a caller's `on_step` to end the ascent; it passes through `synthesize` to whoever called."""


@dataclass(frozen=True)
class Item:
    """One picture asked for. `position` is (y, x) of a channel, None for its centre; `seed` draws the first
    code."""

    unit: int
    seed: int
    position: tuple[int, int] | None = None


@dataclass(frozen=True)
class Picture:
    """The result of one item.

    `image` is uint8 [S, S, 3] RGB; `code` float32 [*code_shape]; `activation` is measured on `image` as
    stored. `trace` float32 [steps] has the activation before each step (fewer if unreachable). `crop_box` is
    the unit's receptive field in pixels of `image`, None where it is the whole input. `predictions` are the
    network's five most probable classes of `image`, None for a network without logits. `skipped_steps` counts
    steps without a finite gradient. With status `unreachable` no gradient ever reached the code: `image`
    shows no preference of the unit.
    """

    image: NDArray[np.uint8]
    code: NDArray[np.float32]
    activation: float
    trace: NDArray[np.float32]
    status: Literal["done", "unreachable"]
    predictions: list[Prediction] | None
    crop_box: Box | None
    skipped_steps: int


def synthesize(
    network: Network,
    generator: Generator,
    layer: str,
    items: Sequence[Item],
    parameters: DgnAm,
    *,
    on_step: Callable[[int], None] | None = None,
    device: torch.device | str | None = None,
) -> list[Picture]:
    """Make the pictures of `items`, units of one layer, in one batch; results in the order of the items.

    `layer` is a dotted name, or `output` for the logits. `on_step` is called with the number of steps done, 1
    to `parameters.steps`, and may raise (`Stop`) to end the work. `device` moves the generator and the
    network where they are not yet. Raises `LayerError`, `ObjectiveError`, `FitError` or `NetworkError` before
    any work.
    """
    if device is not None:
        network.module.to(device)
        generator.to(device)
    if not items:
        return []
    with torch.enable_grad():
        return _Ascent(network, generator, layer, items, parameters).run(on_step or (lambda step: None))


class _Ascent:
    """The state of one batch. N items stand in it until some turn out to be unreachable and leave."""

    def __init__(
        self, network: Network, generator: Generator, layer: str, items: Sequence[Item], parameters: DgnAm
    ) -> None:
        self.network, self.generator, self.parameters = network, generator, parameters
        input_size = parameters.input_size or network.preprocessing.size
        self.layer: TracedLayer = find_layer(network, layer, input_size)
        self.output = anatomy(network.module, input_size).output
        self.prefix = Prefix(network.module, self.layer.name)
        self.fit = Fit.plan(parameters.fit, generator.info.image_size, input_size)
        device = generator.code_mean.device
        self.objective = UnitObjective(
            self.layer, [i.unit for i in items], [i.position for i in items], network.device
        )
        self.bounds = Bounds.of(generator, parameters.bounds, parameters.bounds_k)

        draws = [torch.Generator().manual_seed(item.seed) for item in items]
        normal = torch.stack([torch.randn(generator.info.code_shape, generator=draw) for draw in draws])
        codes = normal.to(device)
        self.codes = codes.abs() * generator.code_std.float() if parameters.start == "half-normal" else codes
        self.shifts: Tensor | None = None  # [N, steps, 2]
        if parameters.jitter:
            shape, limit = (parameters.steps, 2), parameters.jitter
            self.shifts = torch.stack(
                [torch.randint(-limit, limit + 1, shape, generator=draw) for draw in draws]
            ).to(device)

        count = len(items)
        self.items = torch.arange(count, device=device)  # which items still stand
        self.velocity = torch.zeros_like(self.codes) if parameters.momentum else None
        self.moved = torch.zeros(count, dtype=torch.bool, device=device)  # has had a gradient
        self.skipped = torch.zeros(count, dtype=torch.long, device=device)
        self.flat: Tensor | None = None  # items that climb the input of the layer's activation function
        self.traces = torch.full((parameters.steps, count), torch.nan, device=device)
        self.last_codes = self.codes.clone()

    def run(self, on_step: Callable[[int], None]) -> list[Picture]:
        objective = self.objective
        for step in range(self.parameters.steps):
            activation, gradient = self._gradient(step, objective)
            if step == 0 and self._climbs_before_activation(gradient):
                activation, gradient = self._gradient(step, objective)
            self.traces[step, self.items] = activation
            self._move(step, gradient)
            if step + 1 == PATIENCE:
                objective = self._dismiss_unreachable(objective)
            on_step(step + 1)
            if not len(self.items):
                break
        self.last_codes[self.items] = self.codes
        return self._pictures()

    def _gradient(self, step: int, objective: UnitObjective) -> tuple[Tensor, Tensor]:
        """Activations [N] and their gradients [N, *code_shape] by each item's own code."""
        code = self.codes.detach().requires_grad_()
        x = self._input(self.generator(code.to(_dtype(self.generator))), step)
        if self.flat is None:
            goal = activation = objective(self.prefix(x))
        else:
            output, before = self.prefix.with_preactivation(x)
            activation = objective(output)
            goal = activation if before is None else torch.where(self.flat, objective(before), activation)
        # The sum keeps items apart: each code reaches its own activation only.
        (gradient,) = torch.autograd.grad(goal.sum(), code)
        return activation.detach(), gradient

    def _input(self, image: Tensor, step: int | None) -> Tensor:
        x = self.fit(image.to(self.network.dtype))
        if self.shifts is not None and step is not None:
            x = shifted(x, self.shifts[self.items, step])
        return self.network.preprocessing(x)

    def _climbs_before_activation(self, gradient: Tensor) -> bool:
        """Let items on a flat stretch of the layer's activation function climb its input, if it has one and
        they exist.

        Decided once, at the first step: a ReLU's unit that is off gives no gradient, what goes into it does.
        """
        flat = ~_has_gradient(gradient)
        if not bool(flat.any()):
            return False
        with torch.no_grad():
            x = self._input(self.generator(self.codes[:1].to(_dtype(self.generator))), None)
            if self.prefix.with_preactivation(x).before is None:
                return False
        self.flat = flat
        return True

    def _move(self, step: int, gradient: Tensor) -> None:
        parameters = self.parameters
        size = gradient.abs().flatten(1).mean(1)
        finite = torch.isfinite(size)
        self.moved[self.items] |= finite & (size > 0)
        self.skipped[self.items] += ~finite
        if parameters.l2:
            norm = self.codes.flatten(1).norm(dim=1).clamp_min(1e-12)
            gradient = gradient - parameters.l2 * self.codes / _column(norm, gradient)
            size = gradient.abs().flatten(1).mean(1)
        # A zero gradient moves nothing; dividing by its size would.
        update = gradient / _column(torch.where(size > 0, size, 1.0), gradient)
        keep = _column(finite, gradient)
        if self.velocity is not None:
            moving = parameters.momentum * self.velocity + update
            self.velocity = torch.where(keep, moving, self.velocity)
            update = moving
        first, last = parameters.learning_rate, parameters.learning_rate_end
        rate = first + (last - first) * step / parameters.steps
        climbed = self.bounds.clip(self.codes + rate * update) * parameters.decay
        self.codes = torch.where(keep, climbed, self.codes)

    def _dismiss_unreachable(self, objective: UnitObjective) -> UnitObjective:
        """Stop spending on items that have had no gradient; the one place in the loop that waits for the
        device."""
        standing = self.moved[self.items]
        if bool(standing.all()):
            return objective
        self.last_codes[self.items] = self.codes
        kept = standing.nonzero()[:, 0]
        self.items, self.codes = self.items[kept], self.codes[kept]
        self.velocity = None if self.velocity is None else self.velocity[kept]
        self.flat = None if self.flat is None else self.flat[kept]
        return objective.only(kept)

    @torch.no_grad()
    def _pictures(self) -> list[Picture]:
        pixels = to_bytes(self.generator(self.last_codes.to(_dtype(self.generator))))
        x = self._input(from_bytes(pixels), None)
        output = self.prefix(x)
        activations = self.objective(output).tolist()
        predictions: list[list[Prediction]] | None = None
        if self.output is not None:
            is_logits = self.layer.name == self.output
            predictions = top_predictions(
                output if is_logits else Prefix(self.network.module, self.output)(x)
            )
        images, codes = as_images(pixels), self.last_codes.cpu().numpy()
        traces, moved, skipped = self.traces.T.cpu().numpy(), self.moved.tolist(), self.skipped.tolist()
        performed = self.parameters.steps
        return [
            Picture(
                image=images[n],
                code=codes[n],
                activation=activations[n],
                trace=traces[n] if moved[n] else traces[n, : min(PATIENCE, performed)],
                status="done" if moved[n] else "unreachable",
                predictions=predictions[n] if predictions else None,
                crop_box=self._crop_box(self.objective.positions[n]),
                skipped_steps=skipped[n],
            )
            for n in range(len(images))
        ]

    def _crop_box(self, position: tuple[int, int]) -> Box | None:
        if self.layer.field is None:
            return None
        box = self.layer.field.box(position, self.fit.input_size)
        return None if box is None else self.fit.in_picture(box)


def _has_gradient(gradient: Tensor) -> Tensor:
    return (gradient != 0).flatten(1).any(1)  # NaN counts: it is another trouble than flatness


def _column(per_item: Tensor, like: Tensor) -> Tensor:
    """[N] → [N, 1, …] so that it goes with a code."""
    return per_item.view(-1, *[1] * (like.ndim - 1))


def _dtype(generator: Generator) -> torch.dtype:
    return next(generator.network.parameters()).dtype
