"""What tensor operations do to places: one rule for each operation that is known. There is none for others.

A rule is given the operation, its tensors as they were before it, its positional arguments and its (first)
output, and answers where the output's places lie in the picture, `WHOLE`, or None where that is not known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from torch import Tensor

from imago_engine.synthesis.receptive_fields.elementwise import ELEMENTWISE
from imago_engine.synthesis.receptive_fields.receptive_field import Extent, ReceptiveField


@dataclass(frozen=True)
class Placed:
    """A tensor whose `dims` (rows, columns) are places in the picture.

    Behind a padding that repeats what lies inside, a place at the edge shows another than its own: fields
    hold again for windows of at least `least_window` places.
    """

    field: ReceptiveField
    dims: tuple[int, int]
    least_window: int = 1


WHOLE: Final = "whole"
"""A statistic of the whole picture: it colours what a unit sees, it does not place it."""
State = Placed | Literal["whole"] | None


class Operand(NamedTuple):
    """A tensor that goes into an operation. It `depends` on the picture, perhaps as a statistic of the
    `whole`."""

    tensor: Tensor
    state: State
    depends: bool
    whole: bool


Operands = Sequence[Operand]
Rule = Callable[[Any, Operands, tuple[Any, ...], Tensor], State]


def _first(operands: Operands) -> Placed | None:
    state = operands[0].state
    return state if isinstance(state, Placed) else None


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
    extents: list[Extent] = []
    settings = zip(*(_axes(v) for v in (kernel, stride, padding, dilation)), strict=True)
    for extent, (size, step, before, spread) in zip(
        (placed.field.rows, placed.field.columns), settings, strict=True
    ):
        if placed.least_window > 1 and (size - 1) * spread + 1 < placed.least_window + before:
            return None
        extents.append(extent.through_window(size, step, before, spread))
    return Placed(ReceptiveField(*extents), (2, 3))


def _convolution(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    _, weight, _, stride, padding, dilation, transposed = args[:7]
    if transposed or weight.ndim != 4:
        return None
    if any(operand.depends and not operand.whole for operand in operands[1:]):
        return None  # its weights are made of the picture
    return _windowed(_first(operands), weight.shape[2:], stride, padding, dilation)


def _max_pool(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    kernel, stride, padding, dilation = (*args[1:5], *([], 0, 1)[len(args) - 2 :])[:4]
    if _last_window_is_cut(operands[0], output, stride or kernel, padding):
        return None
    return _windowed(_first(operands), kernel, stride or kernel, padding, dilation)


def _average_pool(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    kernel, stride, padding = (*args[1:4], *([], 0)[len(args) - 2 :])[:3]
    if _last_window_is_cut(operands[0], output, stride or kernel, padding):
        return None
    return _windowed(_first(operands), kernel, stride or kernel, padding)


def _last_window_is_cut(
    source: Operand, output: Tensor, stride: int | Sequence[int], padding: int | Sequence[int]
) -> bool:
    """Whether a pool's last window, which may end outside (`ceil_mode`), begins too late to have
    `least_window` places."""
    if not isinstance(source.state, Placed) or source.state.least_window == 1:
        return False
    sides = zip(source.tensor.shape[-2:], output.shape[-2:], _axes(stride), _axes(padding), strict=True)
    return any(
        (windows - 1) * step - before > places - source.state.least_window
        for places, windows, step, before in sides
    )


def _adaptive_pool(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    source = operands[0].tensor
    kernel = [source.shape[dim] // output.shape[dim] for dim in (-2, -1)]
    divides = all(source.shape[dim] % output.shape[dim] == 0 for dim in (-2, -1))
    return _windowed(_first(operands), kernel, kernel, 0) if divides else None


def _pad(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    placed = _first(operands)
    if placed is None or placed.dims != (output.ndim - 2, output.ndim - 1):
        return None
    sides = (*args[1], 0, 0)[:4]
    left, _, top, _ = sides
    field = ReceptiveField(
        placed.field.rows.through_window(1, 1, top), placed.field.columns.through_window(1, 1, left)
    )
    name = func.overloadpacket.__name__
    if name == "constant_pad_nd":
        least = placed.least_window
        # What shows another place than its own may now lie that much further from the edge.
        return replace(placed, field=field, least_window=least + max(0, *sides) if least > 1 else 1)
    if placed.least_window > 1 or min(sides) < 0:
        return None
    # The place at −k shows k (reflection) or 0 (replication): a window that starts there must reach it.
    least = 1 + max(sides) * (2 if name == "reflection_pad2d" else 1)
    return Placed(field, placed.dims, least)


def _permuted(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    source, placed = operands[0].tensor, _first(operands)
    if placed is None:
        return None
    order = list(range(source.ndim))
    if isinstance(args[1], int):  # transpose(a, b)
        a, b = args[1] % source.ndim, args[2] % source.ndim
        order[a], order[b] = order[b], order[a]
    else:
        order = [dim % source.ndim for dim in args[1]]
    return replace(placed, dims=(order.index(placed.dims[0]), order.index(placed.dims[1])))


def _viewed(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    source, placed = operands[0].tensor, _first(operands)
    if placed is None or source.shape == output.shape:
        return placed
    # Channels regrouped (channel shuffle), places left alone; any other view loses them.
    places_last = placed.dims == (source.ndim - 2, source.ndim - 1)
    if places_last and output.ndim >= 3 and source.shape[-2:] == output.shape[-2:]:
        return replace(placed, dims=(output.ndim - 2, output.ndim - 1))
    return None


def _same_map(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    """The first operand with another range of channels, or the same one."""
    source, placed = operands[0].tensor, _first(operands)
    if placed is None or source.ndim != output.ndim:
        return None
    return placed if all(source.shape[dim] == output.shape[dim] for dim in placed.dims) else None


def _argument(func: Any, args: tuple[Any, ...], name: str) -> Any:
    """A positional argument by its name, or the default; None without one."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.name == name:
            return args[place] if place < len(args) else argument.default_value
    return None


def _along(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    """What mixes one dimension, or cuts it: places must not lie along it."""
    placed = _first(operands)
    dim = _argument(func, args, "dim")
    if placed is None or not isinstance(dim, int) or dim % operands[0].tensor.ndim in placed.dims:
        return None
    return _same_map(func, operands, args, output)


def _reduced(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    source, placed = operands[0].tensor, _first(operands)
    if placed is None:
        return None
    given = _argument(func, args, "dim")
    if given is None or given == []:
        return WHOLE if output.numel() == 1 else None
    dims = {dim % source.ndim for dim in ([given] if isinstance(given, int) else given)}
    if dims.issuperset(placed.dims):
        return WHOLE
    return placed if dims.isdisjoint(placed.dims) and output.ndim == source.ndim else None


def _normalised(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    """Normalisation over the last dimensions: those of both places (statistics of the whole picture) or
    none."""
    placed = _first(operands)
    if placed is None:
        return None
    mixed = range(output.ndim - len(args[1]), output.ndim)
    return placed if len([dim for dim in placed.dims if dim in mixed]) != 1 else None


def _statistic(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    """Normalisation by channels or groups of them: its statistics are of the whole picture or fixed."""
    placed = _first(operands)
    return placed if placed is not None and 1 not in placed.dims else None


def _shuffled(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    placed = _first(operands)
    return placed if placed is not None and placed.dims == (2, 3) else None


def _elementwise(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    """Places stay if all operands agree in them. Statistics of the whole picture (gates, centring) do not
    count unless they are added, nor does what does not depend on the picture (weights, embeddings of
    positions)."""
    if func.overloadpacket.__name__.rstrip("_") in ADDITIONS and _shows_the_whole(operands):
        return None
    joined: Placed | None = None
    for operand in operands:
        placed = operand.state
        if not operand.depends:
            continue
        if isinstance(placed, Placed) and operand.tensor.ndim == output.ndim and _covers(operand, output):
            joined = _joined(joined, placed) if joined else placed
            if joined is None:
                return None
        elif not operand.whole:
            return None  # not known, or one row or place set against many
    return joined or WHOLE


def _shows_the_whole(operands: Operands) -> bool:
    """Whether what a place sees is set beside what the whole picture says: the result shows both."""
    dependent = [operand for operand in operands if operand.depends]
    return len({operand.whole for operand in dependent}) == 2


def _covers(operand: Operand, output: Tensor) -> bool:
    """Whether an operand with places has all those of the output."""
    assert isinstance(operand.state, Placed)
    return all(operand.tensor.shape[dim] == output.shape[dim] for dim in operand.state.dims)


def _concatenated(func: Any, operands: Operands, args: tuple[Any, ...], output: Tensor) -> State:
    if _shows_the_whole(operands):
        return None
    joined = _elementwise(func, operands, args, output)
    dim = _argument(func, args, "dim")
    return joined if isinstance(joined, Placed) and dim % output.ndim not in joined.dims else None


def _joined(a: Placed, b: Placed) -> Placed | None:
    rows = a.field.rows.joined(b.field.rows)
    columns = a.field.columns.joined(b.field.columns)
    if a.dims != b.dims or rows is None or columns is None:
        return None
    return Placed(ReceptiveField(rows, columns), a.dims, max(a.least_window, b.least_window))


ADDITIONS = {"add"}
"""Operations that bring in what an operand says, rather than weigh another by it or centre it."""
RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(
        [
            "mean",
            "sum",
            "amax",
            "amin",
            "max",
            "min",
            "var",
            "std",
            "var_mean",
            "std_mean",
            "norm",
            "linalg_vector_norm",
            "logsumexp",
            "prod",
            "argmax",
            "argmin",
            "any",
            "all",
        ],
        _reduced,
    ),
    **dict.fromkeys(
        ["_softmax", "_log_softmax", "slice", "split", "split_with_sizes", "chunk", "glu", "cumsum"], _along
    ),
    **dict.fromkeys(["native_layer_norm", "_fused_rms_norm", "rms_norm"], _normalised),
    **dict.fromkeys(
        [
            "native_batch_norm",
            "cudnn_batch_norm",
            "miopen_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_no_training",
            "_batch_norm_with_update",
            "_batch_norm_no_update",
            "_batch_norm_impl_index",
            "native_group_norm",
        ],
        _statistic,
    ),
    **dict.fromkeys(["expand", "broadcast_to"], _same_map),
    **dict.fromkeys(["view", "_unsafe_view", "_reshape_alias", "reshape"], _viewed),
    **dict.fromkeys(["permute", "transpose"], _permuted),
    **dict.fromkeys(["channel_shuffle", "native_channel_shuffle"], _shuffled),
    **dict.fromkeys(["constant_pad_nd", "reflection_pad2d", "replication_pad2d"], _pad),
    **dict.fromkeys(["_adaptive_avg_pool2d", "adaptive_max_pool2d"], _adaptive_pool),
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
    "cat": _concatenated,
}
SPLITS = {"split", "split_with_sizes", "chunk"}
"""Operations whose outputs all have the places of the first."""
OVERWRITES = {"copy_", "fill_", "zero_"}
"""In-place operations that do not read what they write to."""
TELLS_VALUES = {"_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero"}
"""Operations after which the network's own Python code may know what is in the picture."""
