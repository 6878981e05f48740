r"""Queries, keys and values of atoms from their features, for weights that are not trained.

:math:`[q, k, v] = W \, \mathrm{norm}(x) + b` with the layer norm over channels. The native op takes blocks of atoms
through the norm and the products in the cache. It knows derivatives by x alone.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmdnet.ops import native
from torchmdnet.ops.radial_table import gradients_of

__all__ = ["ProjectionMaps", "atom_projection"]


class ProjectionMaps(NamedTuple):
    """Weights of the op."""

    scale: Tensor
    """Of the layer norm. (C,)"""
    shift: Tensor
    """The same. (C,)"""
    map: Tensor
    """Columns of queries, then keys, then values. (C, 5 C)"""
    transposed: Tensor
    """The same transposed: each product reads its matrix along rows. (5 C, C)"""
    bias: Tensor
    """(5 C,)"""


def atom_projection(x: Tensor, maps: ProjectionMaps, *, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    r"""Queries, keys and values. Differentiable by x to any order.

    Shapes: x: (N, C) -> (N, C), (N, C), (N, 3 C). eps is the layer norm's.

    Raises:
        ValueError: shapes that do not go together.
        RuntimeError: a gradient by the weights is asked for.
    """
    channels = x.shape[-1]
    sizes = [(channels,), (channels,), (channels, 5 * channels), (5 * channels, channels), (5 * channels,)]
    if x.ndim != 2 or [value.shape for value in maps] != sizes:
        shapes = ", ".join(str(tuple(value.shape)) for value in maps)
        raise ValueError(f"want x (N, C) and maps {', '.join(map(str, sizes))}, not {tuple(x.shape)} and {shapes}")
    arrays = [value.contiguous() for value in (x, *maps)]
    query, key, value = native.call("atom_projection", *arrays, eps)
    return query, key, value


def _widths(channels: int) -> tuple[int, int, int]:
    return channels, channels, 3 * channels


def _reference(x: Tensor, *weights: Any) -> tuple[Tensor, ...]:
    scale, shift, _, transposed, bias, eps = weights
    projected = F.linear(F.layer_norm(x, scale.shape, scale, shift, eps), transposed, bias)
    return tuple(part.contiguous() for part in projected.split(_widths(x.shape[1]), dim=1))


def _backward_reference(
    grad_query: Tensor, grad_key: Tensor, grad_value: Tensor, x: Tensor, *weights: Any
) -> tuple[Tensor]:
    scale, _, _, transposed, _, eps = weights
    grad = torch.cat([grad_query, grad_key, grad_value], dim=1) @ transposed * scale
    centered = x - x.mean(1, keepdim=True)
    factor = (centered.square().mean(1, keepdim=True) + eps).rsqrt()
    standard = centered * factor
    mean, along = grad.mean(1, keepdim=True), (grad * standard).mean(1, keepdim=True)
    return ((grad - mean - standard * along) * factor,)


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    refuse_weights(ctx.needs_input_grad[1:])
    arrays = [grad.contiguous() for grad in grads]
    by_x = native.call("atom_projection_backward", *arrays, *ctx.saved_tensors, ctx.eps)
    return by_x, None, None, None, None, None, None


def _second_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    refuse_weights(ctx.needs_input_grad[4:])
    *inputs, scale, shift, maps, transposed, bias = ctx.saved_tensors
    results = gradients_of(
        lambda *values: _backward_reference(*values, scale, shift, maps, transposed, bias, ctx.eps),
        inputs,
        grads=[grad],
        needed=ctx.needs_input_grad[:4],
    )
    return *results, *[None] * 6


def refuse_weights(needed: tuple[bool, ...]) -> None:
    """Refuse derivatives that the op does not know: by its weights, of which some came twice."""
    if any(needed):
        raise RuntimeError("this op knows no gradient by its weights: freeze them with requires_grad_(False)")


def _fake(x: Tensor, *weights: Any) -> tuple[Tensor, ...]:
    return tuple(x.new_empty((x.shape[0], width)) for width in _widths(x.shape[1]))


_INPUTS = "Tensor x, Tensor scale, Tensor shift, Tensor map, Tensor transposed, Tensor bias, float eps"
native.define(
    "atom_projection",
    f"({_INPUTS}) -> (Tensor query, Tensor key, Tensor value)",
    reference=_reference,
    fake=_fake,
    backward=_backward,
    setup_context=_keep_inputs,
)
native.define(
    "atom_projection_backward",
    f"(Tensor grad_query, Tensor grad_key, Tensor grad_value, {_INPUTS}) -> Tensor",
    reference=lambda *arguments: _backward_reference(*arguments)[0],
    fake=native.like(position=3),
    backward=_second_backward,
    setup_context=_keep_inputs,
)
