"""Following receptive fields through the tensor operations of one forward pass.

Operations are watched rather than module types, so padding and pooling written as functions, branches and
residual sums all count. An operation that is not known to keep places loses them: its units are taken to see
everything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from worker.synthesis.receptive_field import ReceptiveField


@dataclass(frozen=True)
class Placed:
    """A tensor whose `dims` (rows, columns) are places in the picture."""

    field: ReceptiveField
    dims: tuple[int, int]


class FieldTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows receptive fields through tensor operations. What is not known to keep places loses them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._fields: Any = WeakTensorKeyDictionary()

    def place(self, picture: Tensor) -> None:
        self._fields[picture] = Placed(ReceptiveField(), (2, 3))

    def placed(self, tensor: Tensor) -> Placed | None:
        found: Placed | None = self._fields.get(tensor)
        return found

    def carry(self, source: Tensor, target: Tensor) -> None:
        found = self.placed(source)
        if found is not None:
            self._fields[target] = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # Noted before the call: an in-place operation changes the shape of nothing but may be its own source.
        sources = [(t, self.placed(t)) for t in _tensors(args)]
        result = func(*args, **(kwargs or {}))
        output = result[0] if isinstance(result, tuple | list) and result else result
        if isinstance(output, Tensor) and any(placed for _, placed in sources):
            name = func.overloadpacket.__name__
            rule = _RULES.get(name, _same_places)
            placed = rule(sources, args, output)
            outputs = result if isinstance(result, tuple | list) else [result]
            for tensor in outputs if name in _SPLITS else [output]:
                if placed is None:
                    self._fields.pop(tensor, None)
                else:
                    self._fields[tensor] = placed
        return result


_Sources = list[tuple[Tensor, Placed | None]]
_Rule = Callable[[_Sources, tuple[Any, ...], Tensor], Placed | None]
_SPLITS = {"split", "split_with_sizes", "unbind", "chunk"}


def _tensors(args: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for arg in args:
        if isinstance(arg, Tensor):
            found.append(arg)
        elif isinstance(arg, list | tuple):
            found.extend(_tensors(arg))
    return found


def _axes(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _windowed(
    placed: Placed | None,
    kernel: int | Sequence[int],
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
) -> Placed | None:
    if placed is None or placed.dims != (2, 3):
        return None
    settings = list(zip(*(_axes(v) for v in (kernel, stride, padding, dilation)), strict=True))
    rows = placed.field.rows.through_window(*settings[0])
    return Placed(ReceptiveField(rows, placed.field.columns.through_window(*settings[1])), (2, 3))


def _convolution(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    _, weight, _, stride, padding, dilation, transposed = args[:7]
    if transposed or weight.ndim != 4:
        return None
    return _windowed(sources[0][1], weight.shape[2:], stride, padding, dilation)


def _max_pool(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    kernel, stride, padding, dilation = (*args[1:5], *([], 0, 1)[len(args) - 2 :])[:4]
    return _windowed(sources[0][1], kernel, stride or kernel, padding, dilation)


def _average_pool(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    kernel, stride, padding = (*args[1:4], *([], 0)[len(args) - 2 :])[:3]
    return _windowed(sources[0][1], kernel, stride or kernel, padding)


def _adaptive_pool(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    source, placed = sources[0]
    kernel = [source.shape[dim] // output.shape[dim] for dim in (-2, -1)]
    divides = all(source.shape[dim] % output.shape[dim] == 0 for dim in (-2, -1))
    return _windowed(placed, kernel, kernel, 0) if divides else None


def _pad(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    placed = sources[0][1]
    if placed is None or placed.dims != (output.ndim - 2, output.ndim - 1):
        return None
    left, _, top, _ = (*args[1], 0, 0)[:4]
    rows, columns = placed.field.rows, placed.field.columns
    return Placed(
        ReceptiveField(rows.through_window(1, 1, top), columns.through_window(1, 1, left)), placed.dims
    )


def _permuted(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    source, placed = sources[0]
    if placed is None:
        return None
    order = list(range(source.ndim))
    if isinstance(args[1], int):  # transpose(a, b)
        a, b = args[1] % source.ndim, args[2] % source.ndim
        order[a], order[b] = order[b], order[a]
    else:
        order = [dim % source.ndim for dim in args[1]]
    return Placed(placed.field, (order.index(placed.dims[0]), order.index(placed.dims[1])))


def _viewed(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    source, placed = sources[0]
    if placed is None:
        return None
    if source.shape == output.shape:
        return placed
    # Channels regrouped (channel shuffle), places left alone; any other view loses them.
    places_last = placed.dims == (source.ndim - 2, source.ndim - 1)
    if places_last and output.ndim >= 3 and source.shape[-2:] == output.shape[-2:]:
        return Placed(placed.field, (output.ndim - 2, output.ndim - 1))
    return None


def _lost(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    return None


def _same_places(sources: _Sources, args: tuple[Any, ...], output: Tensor) -> Placed | None:
    """Any other operation: places stay if its operands agree in them. Gates and weights, of one place, do not
    count."""
    dims = next(placed.dims for _, placed in sources if placed)
    spread = [
        placed
        for tensor, placed in sources
        if tensor.ndim == output.ndim and all(tensor.shape[dim] == output.shape[dim] for dim in dims)
    ]
    joined = spread[0] if spread else None  # nothing of the output's size: reduced or resampled
    for placed in spread[1:]:
        joined = _joined(joined, placed) if joined and placed else None
    return joined


def _joined(a: Placed, b: Placed) -> Placed | None:
    rows = a.field.rows.joined(b.field.rows)
    columns = a.field.columns.joined(b.field.columns)
    if a.dims != b.dims or rows is None or columns is None:
        return None
    return Placed(ReceptiveField(rows, columns), a.dims)


_RULES: dict[str, _Rule] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
    "_adaptive_avg_pool2d": _adaptive_pool,
    "adaptive_max_pool2d": _adaptive_pool,
    "constant_pad_nd": _pad,
    "reflection_pad2d": _pad,
    "replication_pad2d": _pad,
    "permute": _permuted,
    "transpose": _permuted,
    "view": _viewed,
    "_unsafe_view": _viewed,
    "_reshape_alias": _viewed,
    "mm": _lost,
    "addmm": _lost,
    "bmm": _lost,
    "roll": _lost,
}
