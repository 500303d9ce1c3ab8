"""Forward hooks that belong to one call: they fire in the calling thread only and are gone when it ends.

A network is shared by many jobs, some in threads of their own; a hook of one must neither see nor stop
another's call.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Inputs = tuple[Any, ...]
After = Callable[[nn.Module, Inputs, Any], Tensor | None]
Hook = TypeVar("Hook", bound=Callable[..., Any])
Before = Callable[[nn.Module, Inputs], Inputs | None]


@contextmanager
def watching(
    after: Iterable[tuple[nn.Module, After]], before: Iterable[tuple[nn.Module, Before]] = ()
) -> Iterator[None]:
    """Run each `after` function once its module has run (what it returns takes the output's place), and each
    `before` function before (it may replace the inputs)."""
    owner = threading.get_ident()

    def own_after(function: After) -> After:
        def hook(module: nn.Module, inputs: Inputs, output: Any) -> Tensor | None:
            return function(module, inputs, output) if threading.get_ident() == owner else None

        return hook

    def own_before(function: Before) -> Before:
        def hook(module: nn.Module, inputs: Inputs) -> Inputs | None:
            return function(module, inputs) if threading.get_ident() == owner else None

        return hook

    handles = []
    try:
        for module, function in after:
            handles.append(module.register_forward_hook(_uncompiled(own_after(function))))
        for module, first in before:
            handles.append(module.register_forward_pre_hook(_uncompiled(own_before(first))))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _uncompiled(hook: Hook) -> Hook:
    """The hook as Python runs it: torch.compile, where a module is compiled, would take it for a part of that
    and try to follow it into the engine."""
    untouched: Hook = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]
    return untouched
