r"""The exchange between scalars and vectors of atoms in the equivariant transformer, for weights that are not trained.

With :math:`[p^1, p^2, p^3] = W_v V` and :math:`[o^1, o^2, o^3] = W s + b`, s and S what an atom received,
:math:`x \leftarrow x + \langle p^1, p^2 \rangle \odot o^2 + o^3` and :math:`V \leftarrow V + p^3 \odot o^1 + S`.
The native op takes blocks of atoms through products and sums in the cache, and for many atoms keeps nothing but its
inputs for its derivative. It knows derivatives by x, V, s and S alone.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmdnet.ops import native
from torchmdnet.ops.atom_projection import refuse_weights
from torchmdnet.ops.radial_table import gradients_of

__all__ = ["ExchangeMaps", "vector_exchange"]

MOST_KEPT = 512
"""Atoms up to which p and o are kept for the derivative, 12 C numbers each; for more atoms they are computed again."""


class ExchangeMaps(NamedTuple):
    """Weights of the op: each matrix also transposed, since each product reads its matrix along rows."""

    map: Tensor
    """W. (C, 3 C)"""
    transposed: Tensor
    """(3 C, C)"""
    bias: Tensor
    """b. (3 C,)"""
    vector_map: Tensor
    """W_v. (C, 3 C)"""
    vector_transposed: Tensor
    """(3 C, C)"""


def vector_exchange(
    x: Tensor, v: Tensor, *, received: Tensor, vectors: Tensor, maps: ExchangeMaps
) -> tuple[Tensor, Tensor]:
    """Scalars and vectors of a layer's end. Differentiable by all but the maps to any order.

    Shapes: x, received (s): (N, C), v, vectors (S): (N, 3, C) -> (N, C), (N, 3, C).

    Raises:
        ValueError: shapes that do not go together.
        RuntimeError: a gradient by the weights is asked for.
    """
    _check(x, v, received, vectors, maps)
    arrays = [value.contiguous() for value in (x, v, received, vectors, *maps)]
    keeps = torch.is_grad_enabled() and (torch.compiler.is_compiling() or x.shape[0] <= MOST_KEPT)
    new_x, new_v, _, _ = native.call("vector_exchange", *arrays, keeps)
    return new_x, new_v


def _check(x: Tensor, v: Tensor, received: Tensor, vectors: Tensor, maps: ExchangeMaps) -> None:
    num_atoms, channels = x.shape
    matrix, transposed = (channels, 3 * channels), (3 * channels, channels)
    of_vectors = (num_atoms, 3, channels)
    of_maps = (matrix, transposed, (3 * channels,), matrix, transposed)
    wanted = [of_vectors, (num_atoms, channels), of_vectors, *of_maps]
    given = [value.shape for value in (v, received, vectors, *maps)]
    if given != wanted:
        names = ("v", "received", "vectors", *ExchangeMaps._fields)
        name, size, found = next(row for row in zip(names, wanted, given, strict=True) if row[1] != row[2])
        raise ValueError(f"want {name} {size}, not {tuple(found)}")


def _parts(v: Tensor, received: Tensor, maps: ExchangeMaps) -> tuple[Tensor, ...]:
    """p1, p2, p3: (N, 3, C), o1, o2, o3: (N, C)."""
    p = F.linear(v, maps.vector_transposed).chunk(3, dim=-1)
    return *p, *F.linear(received, maps.transposed, maps.bias).chunk(3, dim=-1)


def _reference(x: Tensor, v: Tensor, received: Tensor, vectors: Tensor, *others: Any) -> tuple[Tensor, ...]:
    *maps, keeps = others
    p1, p2, p3, o1, o2, o3 = _parts(v, received, ExchangeMaps(*maps))
    results = x + (p1 * p2).sum(1) * o2 + o3, v + p3 * o1.unsqueeze(1) + vectors
    kept = slice(None) if keeps else slice(0)
    return *results, torch.cat([p1, p2, p3], dim=-1)[kept], torch.cat([o1, o2, o3], dim=-1)[kept]


def _backward_reference(
    grad_x: Tensor, grad_v: Tensor, v: Tensor, received: Tensor, p: Tensor, o: Tensor, *maps: Tensor
) -> tuple[Tensor, Tensor]:
    # What was kept is computed again, so that its derivatives are known.
    weights = ExchangeMaps(*maps)
    p1, p2, p3, o1, o2, _ = _parts(v, received, weights)
    factor = (grad_x * o2).unsqueeze(1)
    by_p = torch.cat([p2 * factor, p1 * factor, grad_v * o1.unsqueeze(1)], dim=-1)
    by_o = torch.cat([(p3 * grad_v).sum(1), (p1 * p2).sum(1) * grad_x, grad_x], dim=-1)
    return grad_v + by_p @ weights.vector_transposed, by_o @ weights.transposed


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, v, received, _, *maps, _ = inputs
    *_, p, o = output
    ctx.mark_non_differentiable(p, o)
    ctx.save_for_backward(v, received, p, o, *maps)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_x: Tensor | None, grad_v: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    refuse_weights(ctx.needs_input_grad[4:])
    if grad_x is None and grad_v is None:
        return (None,) * 10
    v, received, *others = ctx.saved_tensors
    grad_x = torch.zeros_like(received) if grad_x is None else grad_x.contiguous()
    grad_v = torch.zeros_like(v) if grad_v is None else grad_v.contiguous()
    by_v, by_received = native.call("vector_exchange_backward", grad_x, grad_v, v, received, *others)
    return grad_x, by_v, by_received, grad_v, *[None] * 6


def _keep_all(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs)
    ctx.set_materialize_grads(False)


def _second_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    refuse_weights(ctx.needs_input_grad[6:])
    inputs, others = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
    results = gradients_of(
        lambda *values: _backward_reference(*values, *others), inputs, grads=grads, needed=ctx.needs_input_grad[:4]
    )
    return *results, *[None] * 7


def _fake(x: Tensor, v: Tensor, *others: Any) -> tuple[Tensor, ...]:
    (num_atoms, channels), keeps = x.shape, others[-1]
    num_kept = num_atoms if keeps else 0
    p, o = x.new_empty((num_kept, 3, 3 * channels)), x.new_empty((num_kept, 3 * channels))
    return x.new_empty(x.shape), v.new_empty(v.shape), p, o


def _backward_fake(grad_x: Tensor, grad_v: Tensor, v: Tensor, received: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    return v.new_empty(v.shape), received.new_empty(received.shape)


_MAPS = "Tensor map, Tensor transposed, Tensor bias, Tensor vector_map, Tensor vector_transposed"
native.define(
    "vector_exchange",
    f"(Tensor x, Tensor v, Tensor received, Tensor vectors, {_MAPS}, bool keeps) -> "
    "(Tensor x, Tensor v, Tensor p, Tensor o)",
    reference=_reference,
    fake=_fake,
    backward=_backward,
    setup_context=_keep_inputs,
)
native.define(
    "vector_exchange_backward",
    f"(Tensor grad_x, Tensor grad_v, Tensor v, Tensor received, Tensor p, Tensor o, {_MAPS}) -> "
    "(Tensor v, Tensor received)",
    reference=_backward_reference,
    fake=_backward_fake,
    backward=_second_backward,
    setup_context=_keep_all,
)
