r"""The update of an interaction: :math:`X + D + \kappa D^2` with D a map of the normalised product of Y and M.

One pass over the atoms in the native op, forward and for the gradients by X, Y and M: no array in between is stored.
Gradients by κ and the maps, and second derivatives, are those of the reference.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import check_part_maps, keep_all, map_parts, of_reference
from torchmdnet.ops.radial_table import gradients_of
from torchmdnet.ops.tensor_algebra import anticommutator, matrix_product, normalize

__all__ = ["tensor_update", "tensor_update_backward_reference", "tensor_update_reference"]


def tensor_update(
    x: Tensor, y: Tensor, *, message: Tensor, maps: Sequence[Tensor], kappa: Tensor | None, both: bool
) -> Tensor:
    r"""New X, with :math:`D^p = W_p T^p / (\|T\|^2 + 1)`: :math:`X + D + \kappa D^2`. Differentiable to any order.

    T is :math:`\kappa (Y M + M Y)`, or without ``both`` :math:`2 Y M`.

    Shapes: x, y, message: (9, N, C), three maps: (C, C), kappa: (N, 1) or None for 1 -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    check_part_maps(x, maps)
    kappa = x.new_empty((0, 1)) if kappa is None else kappa
    if not x.shape == y.shape == message.shape or kappa.shape not in ((0, 1), (x.shape[1], 1)):
        shapes = ", ".join(str(tuple(array.shape)) for array in (x, y, message))
        raise ValueError(f"want x, y and message of one shape and kappa (N, 1), not {shapes} and {tuple(kappa.shape)}")
    tensors = (x.contiguous(), y.contiguous(), message.contiguous(), kappa.contiguous())
    result: Tensor = native.call("tensor_update", *tensors, *maps, both)
    return result


def tensor_update_reference(
    x: Tensor, y: Tensor, message: Tensor, kappa: Tensor, w0: Tensor, w1: Tensor, w2: Tensor, both: bool
) -> Tensor:
    """Do the same with PyTorch's operations; kappa has no rows for 1."""
    return x + _change(y, message, kappa, w0, w1, w2, both)


def _change(y: Tensor, message: Tensor, kappa: Tensor, w0: Tensor, w1: Tensor, w2: Tensor, both: bool) -> Tensor:
    """What is added to X. -> (9, N, C)"""
    kappa = kappa if kappa.shape[0] else kappa.new_ones(())
    t = kappa * anticommutator(y, message) if both else 2 * matrix_product(y, message)
    d = map_parts(normalize(t), (w0, w1, w2))
    return d + kappa * matrix_product(d, d)


def tensor_update_backward_reference(
    grad: Tensor, y: Tensor, message: Tensor, kappa: Tensor, w0: Tensor, w1: Tensor, w2: Tensor, both: bool
) -> tuple[Tensor, Tensor]:
    """Gradients by y and message. grad, y, message: (9, N, C) -> twice (9, N, C)"""
    factor = kappa if kappa.shape[0] else kappa.new_ones(())
    scale = factor if both else factor.new_full((), 2.0)
    t = scale * (anticommutator(y, message) if both else matrix_product(y, message))
    r = 1 / ((t * t).sum(0) + 1)
    d = map_parts(r * t, (w0, w1, w2))
    by_d = grad + factor * anticommutator(grad, _transposed(d))
    by_n = map_parts(by_d, [w.t() for w in (w0, w1, w2)])
    by_product = scale * (r * by_n - 2 * r**2 * (by_n * t).sum(0) * t)
    if both:
        return anticommutator(by_product, _transposed(message)), anticommutator(by_product, _transposed(y))
    return matrix_product(by_product, _transposed(message)), matrix_product(_transposed(y), by_product)


def _transposed(x: Tensor) -> Tensor:
    """Transposed matrices: the antisymmetric part changes its sign. (9, N, C) -> (9, N, C)"""
    return torch.cat([x[:1], -x[1:4], x[4:]])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """Keep all arguments but X, of which the result is a linear function."""
    keep_all(ctx, inputs[1:], output)


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    tensors, (both,) = ctx.saved_tensors, ctx.others
    results: list[Tensor | None] = [None] * 6
    if grad is None:
        return (None, *results, None)
    if any(ctx.needs_input_grad[3:7]):
        needed = [False, False, *ctx.needs_input_grad[3:7]]
        results = gradients_of(functools.partial(_change, both=both), tensors, grads=[grad], needed=needed)
    if any(ctx.needs_input_grad[1:3]):
        results[:2] = native.call("tensor_update_backward", grad.contiguous(), *tensors, both)
    return (grad, *results, None)


native.define(
    "tensor_update",
    "(Tensor x, Tensor y, Tensor message, Tensor kappa, Tensor trace_map, Tensor skew_map, Tensor symmetric_map, "
    "bool both) -> Tensor",
    reference=tensor_update_reference,
    fake=native.like(),
    backward=_backward,
    setup_context=_keep,
)
native.define(
    "tensor_update_backward",
    "(Tensor grad, Tensor y, Tensor message, Tensor kappa, Tensor trace_map, Tensor skew_map, Tensor symmetric_map, "
    "bool both) -> (Tensor y, Tensor message)",
    reference=tensor_update_backward_reference,
    fake=native.like(2),
    backward=of_reference(tensor_update_backward_reference),
    setup_context=keep_all,
)
