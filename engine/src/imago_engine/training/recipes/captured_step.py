"""A step's computation, on a GPU recorded once as a CUDA graph and replayed: one launch a step instead of
thousands.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from imago_engine.training.recipes.step_inputs import StepInputs

WARM_UP = 3
"""Steps that are computed as usual before one is recorded: libraries choose their algorithms meanwhile and
optimizers make their state. They are steps of the training like any other."""


class CapturedStep:
    """`compute` of a step's inputs, with the same effects and results whether it is recorded or not.

    What is recorded is never run by Python again: `compute` must not look at the values of tensors, and the
    tensors that it changes (weights, optimizers' state) must stay where they are.
    """

    def __init__(self, compute: Callable[[StepInputs], Tensor], captures: bool) -> None:
        self._compute, self._captures = compute, captures
        self._runs = 0
        self._stream: torch.cuda.Stream | None = None
        self._recorded: tuple[torch.cuda.CUDAGraph, StepInputs, Tensor] | None = None

    @property
    def replays(self) -> bool:
        """Whether a recording exists."""
        return self._recorded is not None

    def __call__(self, inputs: StepInputs) -> Tensor:
        """One step. The result is the caller's: the next step does not change it."""
        if not self._captures:
            return self._compute(inputs)
        if self._stream is None:
            self._stream = torch.cuda.Stream(inputs.real.device)  # type: ignore[no-untyped-call]
        if self._recorded is None and self._runs < WARM_UP:
            self._runs += 1
            return self._on_own_stream(self._stream, inputs)
        if self._recorded is None and not self._record(self._stream, inputs):
            return self._compute(inputs)
        assert self._recorded is not None
        graph, held, result = self._recorded
        for own, new in zip(held, inputs, strict=True):
            own.copy_(new, non_blocking=True)
        graph.replay()
        return result.clone()

    def _on_own_stream(self, stream: torch.cuda.Stream, inputs: StepInputs) -> Tensor:
        """As usual, but on the stream that will be recorded: what autograd and cuBLAS keep is kept for it."""
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), warnings.catch_warnings():
            # Adam wonders why an optimizer that can be recorded is not; it will be.
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            result = self._compute(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _record(self, stream: torch.cuda.Stream, inputs: StepInputs) -> bool:
        """Whether it could be recorded; nothing is computed by it. One that cannot is run as usual from then
        on: slower, with the same results.
        """
        graph, held = torch.cuda.CUDAGraph(), StepInputs(*(tensor.clone() for tensor in inputs))
        try:
            # Another thread may pin memory for the next batch meanwhile, hence thread_local; the outer
            # context brings the stream back where the inner one fails.
            with (
                torch.cuda.stream(stream),
                torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            ):
                result = self._compute(held)
        except RuntimeError as error:
            self._captures = False
            warnings.warn(f"the step is not replayed as a CUDA graph: {error}", stacklevel=2)
            return False
        self._recorded = graph, held, result
        return True
