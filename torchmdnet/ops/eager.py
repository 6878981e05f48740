"""Ops called one by one, without the detour through the dispatcher's kernel for derivatives, which is slow in Python.

PyTorch knows each op with its derivative, and compiled, exported and traced code goes by that. Where nobody records
what is done, a ``torch.autograd.Function`` with the same derivative stands directly around the op.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

__all__ = ["call", "is_watched", "note_derivative", "without_records"]

_RECORDED: dict[str, Callable[..., Any]] = {}
"""How ops with a derivative run where it may be asked for."""


def note_derivative(name: str, *, backward: Callable[..., Any], setup_context: Callable[..., None] | None) -> None:
    """Let :func:`call` know how an op is differentiated, as ``torch.library.register_autograd`` is told."""

    def forward(ctx: Any, *arguments: Any) -> Any:
        with without_records():
            results = getattr(torch.ops.torchmdnet, name).default(*arguments)
        if setup_context is not None:
            setup_context(ctx, arguments, results)
        return results

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    # Of torch.autograd.Function the part without functorch, which takes as long as the rest.
    single_level = torch.autograd.function._SingleLevelFunction
    function: Any = type(name, (single_level,), members)
    _RECORDED[name] = function.apply


def call(name: str, *arguments: Any) -> Any:
    """Run an op with all its arguments, none by name.

    Args:
        name: The op below ``torch.ops.torchmdnet``.
        arguments: Those of its schema.
    """
    op = getattr(torch.ops.torchmdnet, name)
    if is_watched():
        return op(*arguments)
    if torch.is_grad_enabled() and name in _RECORDED and torch._C._any_requires_grad(*arguments):
        return _RECORDED[name](*arguments)
    with without_records():
        return op.default(*arguments)


def without_records() -> AbstractContextManager[None]:
    """Inside, nothing is kept for derivatives, and nobody asks whether it should: the body of a Function."""
    guard: AbstractContextManager[None] = torch._C._AutoDispatchBelowAutograd()
    return guard


def is_watched() -> bool:
    """Whether a compiler, a mode, a transform or a tracer wants to see the op itself."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
    )
