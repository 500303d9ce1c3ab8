"""What a network says is in a picture: made from what it returns, or not at all."""

from collections.abc import Callable

from torch import Tensor, nn

from imago_engine.synthesis.inspection.anatomy import Anatomy
from imago_engine.synthesis.networks.recurrent import answer
from imago_engine.synthesis.networks.truncate import Prefix


class Predicting:
    """The logits of a network, by its output layer if it has one, else by what it returns."""

    def __init__(self, module: nn.Module, traced: Anatomy) -> None:
        self.output = traced.output
        """The name of the layer of the logits, None without one."""
        self.squash = traced.squash
        """What makes probabilities of them."""
        self._module, self._scores = module, traced.scores
        self._prefix: Prefix | None = None
        if traced.output is not None:
            self._prefix = Prefix(module, traced.output, traced.layers[traced.output].layout)

    def __call__(self, x: Callable[[], Tensor]) -> Tensor | None:
        """The logits [N, C] of the input [N, 3, S, S] that `x` makes; None where it is not clear what they
        are."""
        if self._prefix is not None:
            return self._prefix(x())
        return self._scores.logits(answer(self._module, x())) if self._scores else None
