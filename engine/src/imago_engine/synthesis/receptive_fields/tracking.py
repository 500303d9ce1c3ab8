"""Following receptive fields through the tensor operations of one forward pass.

Operations are watched rather than module types, so padding and pooling written as functions, branches and
residual sums all count. What an operation does to places is known for those that `rules` names; after
any other the places are lost, and units are taken to see everything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from imago_engine.synthesis.receptive_fields.elementwise import ELEMENTWISE
from imago_engine.synthesis.receptive_fields.receptive_field import ReceptiveField
from imago_engine.synthesis.receptive_fields.rules import (
    ADDITIONS,
    OVERWRITES,
    RULES,
    SPLITS,
    TELLS_VALUES,
    WHOLE,
    Operand,
    Placed,
    State,
)


class FieldTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches the operations of the thread that enters it.

    Tensors that share memory are written through one another (`y[:, 1:] = x` writes to y): a state holds
    until something else is written to the tensor's memory, which `_writes` counts. Memory that is in it holds
    something that depends on the picture.
    """

    def __init__(self, picture: Tensor) -> None:
        """`picture` [N, 3, S, S] is what fields are told in."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._size = picture.shape[-1]
        self._states: Any = WeakTensorKeyDictionary()  # tensor → (state, writes until then)
        self._writes: dict[StorageWeakRef, int] = {}
        self._values_told = self._resting = False
        self._set(picture, Placed(ReceptiveField(), (2, 3)))

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While it is entered, operations are not the network's and go unwatched."""
        self._resting = True
        try:
            yield
        finally:
            self._resting = False

    def placed(self, tensor: Tensor) -> Placed | None:
        """The places of a tensor, or None where they are not known. Values that reached Python may have moved
        anything: then none is known any more."""
        state = self._state(tensor)
        return state if isinstance(state, Placed) and not self._values_told else None

    def carry(self, module: nn.Module, source: Any, target: Tensor) -> None:
        """After a module that works on each place alone, though its operations reshape the tensor."""
        state = self._state(source) if isinstance(source, Tensor) else None
        if not isinstance(state, Placed) or source.ndim != target.ndim:
            return
        forward = type(module).forward
        along_last = forward is nn.Linear.forward and source.ndim - 1 not in state.dims
        across_channels = forward is nn.LocalResponseNorm.forward and 1 not in state.dims
        if along_last or across_channels:
            self._set(target, state)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._resting:
            return func(*args, **kwargs)
        # Noted before the call: an in-place operation may be its own source.
        operands = [self._operand(tensor) for tensor in _tensors([*args, *kwargs.values()])]
        result = func(*args, **kwargs)
        if any(operand.depends for operand in operands):
            self._note(func, args, kwargs, operands, result)
        return result

    def _note(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], operands: list[Operand], result: Any
    ) -> None:
        name = func.overloadpacket.__name__
        written = _written(func, args, kwargs) if func._schema.is_mutable else []
        outputs = [t for t in _tensors([result]) if not any(t is w for w in written)]
        if name in TELLS_VALUES:
            self._values_told = True
        for tensor in written:
            self._write(tensor, name, func, args, operands)
        if not outputs:
            return
        state = self._after(name, func, args, operands, outputs[0])
        if state is None or state is WHOLE or name in SPLITS:
            for tensor in outputs:
                self._set(tensor, state)
        else:
            self._set(outputs[0], state)
            for tensor in outputs[1:]:
                self._set(tensor, None)

    def _write(
        self, target: Tensor, name: str, func: Any, args: tuple[Any, ...], operands: list[Operand]
    ) -> None:
        """Account for an operation that has written to `target`."""
        before = self._state(target)
        elementwise = func.namespace == "aten" and name.rstrip("_") in ELEMENTWISE
        if name in OVERWRITES or not any(o.tensor is target for o in operands[:1]):
            sources = [o for o in operands if o.tensor is not target]
        else:
            sources = operands
            counts = name.rstrip("_") in ADDITIONS  # else the whole does not
            others = [o for o in operands if o.tensor is not target and o.depends and (counts or not o.whole)]
            if elementwise and self._depends(target) and not others:
                return  # each place was written from itself alone
        state = self._after(name.rstrip("_"), func, args, sources, target)
        if state is not None and state == before:
            return
        memory = _memory(target)
        if memory is not None:
            self._writes[memory] = self._writes.get(memory, 0) + 1
        self._set(target, state)

    def _after(
        self, name: str, func: Any, args: tuple[Any, ...], operands: list[Operand], output: Tensor
    ) -> State:
        dependent = [operand for operand in operands if operand.depends]
        if dependent and all(operand.state is WHOLE for operand in dependent):
            return WHOLE
        rule = RULES.get(name) if func.namespace == "aten" else None
        return rule(func, operands, args, output) if rule else None

    def _operand(self, tensor: Tensor) -> Operand:
        state = self._state(tensor)
        # A place that sees everything says of the picture what a mean over it says.
        whole = state is WHOLE or (
            isinstance(state, Placed)
            and all(tensor.shape[dim] == 1 for dim in state.dims)
            and state.field.box((0, 0), self._size) is None
        )
        return Operand(tensor, state, self._depends(tensor), whole)

    def _depends(self, tensor: Tensor) -> bool:
        memory = _memory(tensor)
        return memory is None or memory in self._writes

    def _state(self, tensor: Tensor) -> State:
        found = self._states.get(tensor)
        if found is None:
            return None
        state: State = found[0]
        memory = _memory(tensor)
        return state if memory is not None and self._writes.get(memory) == found[1] else None

    def _set(self, tensor: Tensor, state: State) -> None:
        memory = _memory(tensor)
        if memory is None:
            return
        writes = self._writes.setdefault(memory, 0)
        if state is None:
            self._states.pop(tensor, None)
        else:
            self._states[tensor] = (state, writes)


def _memory(tensor: Tensor) -> StorageWeakRef | None:
    """What identifies the memory of a tensor, also after it is freed; None for one without (a sparse one)."""
    try:
        return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
    except (NotImplementedError, RuntimeError):
        return None


def _tensors(values: Any) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(_tensors(value))
    return found


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments that the operation writes to."""
    values = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            values.append(args[place] if place < len(args) else kwargs.get(argument.name))
    return _tensors(values)
