r"""Normalised tensors, with their parts mixed over channels: :math:`N = X / (\|X\|^2 + 1)` and :math:`Y^p = W_p N^p`.

One pass over the atoms in the native op, forward and for the gradient by X. Gradients by the maps, and second
derivatives, are those of the reference.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import check_part_maps, keep_all, map_parts, of_reference
from torchmdnet.ops.radial_table import gradients_of
from torchmdnet.ops.tensor_algebra import normalize

__all__ = ["tensor_mix", "tensor_mix_backward_reference", "tensor_mix_reference"]


def tensor_mix(x: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    r"""Normalise, and mix channels: :math:`N = X / (\|X\|^2 + 1)`, :math:`Y^p = W_p N^p`. Differentiable to any order.

    Shapes: x: (9, N, C), three maps: (C, C) -> N (9, N, C), Y (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    check_part_maps(x, maps)
    result: tuple[Tensor, Tensor] = native.call("tensor_mix", x.contiguous(), *maps)
    return result


def tensor_mix_reference(x: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
    """Do the same with PyTorch's operations."""
    normal = normalize(x)
    return normal, map_parts(normal, maps)


def tensor_mix_backward_reference(by_normal: Tensor, by_mixed: Tensor, x: Tensor, *maps: Tensor) -> Tensor:
    """Gradient by x. by_normal, by_mixed, x: (9, N, C) -> (9, N, C)"""
    grad = by_normal + map_parts(by_mixed, [w.t() for w in maps])
    r = 1 / ((x * x).sum(0) + 1)
    return r * grad - 2 * r**2 * (grad * x).sum(0) * x


def _backward(ctx: Any, by_normal: Tensor | None, by_mixed: Tensor | None) -> tuple[Tensor | None, ...]:
    x, *maps = ctx.saved_tensors
    results: list[Tensor | None] = [None] * 4
    if by_normal is None and by_mixed is None:
        return tuple(results)
    if any(ctx.needs_input_grad[1:]):
        needed = [False, *ctx.needs_input_grad[1:]]
        results = gradients_of(tensor_mix_reference, [x, *maps], grads=[by_normal, by_mixed], needed=needed)
    if ctx.needs_input_grad[0]:
        grads = [torch.zeros_like(x) if grad is None else grad.contiguous() for grad in (by_normal, by_mixed)]
        results[0] = native.call("tensor_mix_backward", *grads, x, *maps)
    return tuple(results)


native.define(
    "tensor_mix",
    "(Tensor x, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> (Tensor normal, Tensor mixed)",
    reference=tensor_mix_reference,
    fake=native.like(2),
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "tensor_mix_backward",
    "(Tensor by_normal, Tensor by_mixed, Tensor x, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> Tensor",
    reference=tensor_mix_backward_reference,
    fake=native.like(position=2),
    backward=of_reference(tensor_mix_backward_reference),
    setup_context=keep_all,
)
