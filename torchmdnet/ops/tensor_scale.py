r"""Tensors whose parts are mixed over channels and scaled: :math:`f_p \, W_p X^p`.

One pass over the atoms in the native op, forward and for the gradients by X and f. Gradients by the maps, and second
derivatives, are those of the reference.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.part_maps import check_part_maps, keep_all, map_parts, of_reference
from torchmdnet.ops.radial_table import gradients_of
from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["tensor_scale", "tensor_scale_backward_reference", "tensor_scale_reference"]


def tensor_scale(x: Tensor, scales: Tensor, maps: Sequence[Tensor]) -> Tensor:
    r"""Mix the channels of each part and scale it: :math:`f_p \, W_p X^p`. Differentiable to any order.

    Shapes: x: (9, N, C), scales: (N, 3, C), three maps: (C, C) -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    check_part_maps(x, maps)
    if scales.shape != (x.shape[1], 3, x.shape[2]):
        raise ValueError(f"want scales (N, 3, C) for x {tuple(x.shape)}, not {tuple(scales.shape)}")
    result: Tensor = native.call("tensor_scale", x.contiguous(), scales.contiguous(), *maps)
    return result


def tensor_scale_reference(x: Tensor, scales: Tensor, *maps: Tensor) -> Tensor:
    """Do the same with PyTorch's operations."""
    return _of_components(scales) * map_parts(x, maps)


def tensor_scale_backward_reference(grad: Tensor, x: Tensor, scales: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients by x and scales. grad, x: (9, N, C), scales: (N, 3, C) -> (9, N, C), (N, 3, C)"""
    by_x = map_parts(_of_components(scales) * grad, [w.t() for w in maps])
    shares = (grad * map_parts(x, maps)).split(PART_SIZES)
    return by_x, torch.stack([share.sum(0) for share in shares], dim=1)


def _of_components(scales: Tensor) -> Tensor:
    """From parts to components. (N, 3, C) -> (9, N, C)"""
    parts = zip(scales.unbind(1), PART_SIZES, strict=True)
    return torch.cat([scale.expand(size, -1, -1) for scale, size in parts])


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    x, scales, *maps = ctx.saved_tensors
    results: list[Tensor | None] = [None] * 5
    if grad is None:
        return tuple(results)
    if any(ctx.needs_input_grad[2:]):
        needed = [False, False, *ctx.needs_input_grad[2:]]
        results = gradients_of(tensor_scale_reference, [x, scales, *maps], grads=[grad], needed=needed)
    if any(ctx.needs_input_grad[:2]):
        arguments = (grad.contiguous(), x, scales, *maps)
        results[0], results[1] = native.call("tensor_scale_backward", *arguments)
    return tuple(results)


def _backward_fake(grad: Tensor, x: Tensor, scales: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), scales.new_empty(scales.shape)


native.define(
    "tensor_scale",
    "(Tensor x, Tensor scales, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> Tensor",
    reference=tensor_scale_reference,
    fake=native.like(),
    backward=_backward,
    setup_context=keep_all,
)
native.define(
    "tensor_scale_backward",
    "(Tensor grad, Tensor x, Tensor scales, Tensor trace_map, Tensor skew_map, Tensor symmetric_map) -> "
    "(Tensor x, Tensor scales)",
    reference=tensor_scale_backward_reference,
    fake=_backward_fake,
    backward=of_reference(tensor_scale_backward_reference),
    setup_context=keep_all,
)
