"""A step's computation recorded once and replayed: on a GPU as a CUDA graph, one launch a step instead of
thousands.
"""

import logging
import warnings
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

WARM_UP = 3
"""Steps that are computed as usual before one is recorded: libraries choose their algorithms meanwhile and
optimizers make their state. They are steps like any other."""

Inputs = TypeVar("Inputs", bound=tuple[Tensor, ...])
Compute = Callable[[], Tensor]

_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """A way to record a computation and to replay it."""

    def warm_up(self, compute: Compute) -> Tensor:
        """Compute as usual, as it will be recorded next."""

    def record(self, compute: Compute) -> Compute:
        """The recording: each call computes the same again, from what lies in the same tensors then, into one
        and the same result. Raises RuntimeError where it cannot be recorded.
        """


class CudaGraphs:
    """CUDA graphs. What is recorded is not computed yet, and never run by Python again."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm_up(self, compute: Compute) -> Tensor:
        """On the stream that will be recorded: what autograd and cuBLAS keep is kept for it."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            # Adam wonders why an optimizer that can be recorded is not; it will be.
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            result = compute()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def record(self, compute: Compute) -> Compute:
        graph = torch.cuda.CUDAGraph()
        # Another thread may pin memory for the next batch meanwhile, hence thread_local; the outer context
        # brings the stream back where the inner one fails.
        with (
            torch.cuda.stream(self._stream),
            torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
        ):
            result = compute()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


class Repetition:
    """Runs the computation again on the tensors that were held: what a recording must give, on any device."""

    def warm_up(self, compute: Compute) -> Tensor:
        return compute()

    def record(self, compute: Compute) -> Compute:
        return compute


def recorder_for(device: torch.device) -> Recorder | None:
    """How steps are recorded on a device; None where that gains nothing."""
    return CudaGraphs(device) if device.type == "cuda" else None


class CapturedStep(Generic[Inputs]):
    """`compute` of a step's inputs, with the same effects and results whether it is recorded or not.

    `compute` must not look at the values of tensors, and the tensors that it changes must stay where they
    are. Inputs, a named tuple, are copied into the recording's own: their shapes are the same at every step.
    Without a recorder, and where nothing can be recorded, each step is computed as usual.
    """

    def __init__(self, compute: Callable[[Inputs], Tensor], recorder: Recorder | None) -> None:
        self._compute, self._recorder = compute, recorder
        self._runs = 0
        self._recorded: tuple[Inputs, Compute] | None = None

    @property
    def replays(self) -> bool:
        """Whether a recording exists."""
        return self._recorded is not None

    def __call__(self, inputs: Inputs) -> Tensor:
        """One step. The result is the caller's: the next step does not change it."""
        if self._recorded is None and self._recorder is not None:
            if self._runs < WARM_UP:
                self._runs += 1
                return self._recorder.warm_up(partial(self._compute, inputs))
            self._recorded = self._recording(self._recorder, inputs)
        if self._recorded is None:
            return self._compute(inputs)
        held, replay = self._recorded
        for own, new in zip(held, inputs, strict=True):
            own.copy_(new, non_blocking=True)
        return replay().clone()

    def _recording(self, recorder: Recorder, inputs: Inputs) -> tuple[Inputs, Compute] | None:
        """Nothing is computed by it. A step that cannot be recorded is run as usual from then on: slower,
        with the same results.
        """
        held: Inputs = type(inputs)(*(tensor.clone() for tensor in inputs))
        try:
            return held, recorder.record(partial(self._compute, held))
        except RuntimeError as error:
            self._recorder = None
            _log.warning("the step is not replayed as a CUDA graph: %s", error)
            return None
