"""Maps of single atoms on many atoms, in blocks: with little memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["atomwise"]

AtomFunction = Callable[..., tuple[Tensor, ...]]
"""From tensors (..., N, C), or None, to a tuple of tensors (..., N, C'), each atom alone."""

ATOMS_AT_ONCE = 256
"""Atoms of a block: a tensor of 9 x 128 numbers for each of them is about 1 MB."""
FEWEST_ATOMS = 2048
"""Below this number of atoms memory is no concern."""


def atomwise(function: AtomFunction, *tensors: Tensor | None, saves_memory: bool) -> tuple[Tensor, ...]:
    """Apply a function that treats every atom alone.

    Args:
        function: The map.
        *tensors: Its arguments; None is handed on.
        saves_memory: Whether a large system may be treated in blocks of atoms: what a block needs for its derivatives
            is then computed again instead of being kept. For frozen weights and first derivatives alone.
    """
    if not saves_memory or torch.compiler.is_compiling() or _num_atoms(tensors) < FEWEST_ATOMS:
        return function(*tensors)
    result: tuple[Tensor, ...] = _InBlocks.apply(function, *tensors)
    return result


class _InBlocks(torch.autograd.Function):
    """(function, tensors) -> results of the function."""

    @staticmethod
    def forward(ctx: Any, function: AtomFunction, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.function = function
        ctx.save_for_backward(*tensors)
        num_atoms = _num_atoms(tensors)
        outputs: list[Tensor] = []
        for atoms in _blocks(num_atoms):
            results = function(*_rows(tensors, atoms))
            if not outputs:
                outputs = [r.new_empty((*r.shape[:-2], num_atoms, r.shape[-1])) for r in results]
            for output, result in zip(outputs, results, strict=True):
                output[..., atoms, :] = result
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        results = [torch.empty_like(x) if need else None for x, need in zip(tensors, needed, strict=True)]
        for atoms in _blocks(_num_atoms(tensors)):
            block = _rows(tensors, atoms)
            tracked = [x.requires_grad_() for x, need in zip(block, needed, strict=True) if x is not None and need]
            with torch.enable_grad():
                outputs = ctx.function(*block)
            found = iter(torch.autograd.grad(outputs, tracked, _rows(grads, atoms)))
            for result in results:
                if result is not None:
                    result[..., atoms, :] = next(found)
        return None, *results


def _num_atoms(tensors: Sequence[Tensor | None]) -> int:
    return next(x.shape[-2] for x in tensors if x is not None)


def _blocks(num_atoms: int) -> Iterator[slice]:
    for start in range(0, num_atoms, ATOMS_AT_ONCE):
        yield slice(start, min(start + ATOMS_AT_ONCE, num_atoms))


def _rows(tensors: Sequence[Any], atoms: slice) -> list[Any]:
    """Copies of the atoms' rows, as tensors of their own."""
    return [
        None if x is None else x.detach()[..., atoms, :].clone(memory_format=torch.contiguous_format) for x in tensors
    ]
