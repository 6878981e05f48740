r"""Attention over neighbours of scalars and vectors, with factors that are read from a table of the distance.

The same as :mod:`torchmdnet.ops.vector_attention` with :math:`\psi(x) = x / (1 + e^{-x})`, where the factors are the
interpolated table (:mod:`torchmdnet.ops.radial_table`). No array of edges x channels is made, neither for the sums nor
for their gradients by all but the table, which the native ops compute from the same inputs. Gradients by the table and
second derivatives go through the interpolated factors.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import gradients_of, interpolate
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.table_sum import check_table_of, edge_rows
from torchmdnet.ops.vector_attention import (
    NUM_FACTORS,
    AttentionInput,
    check_heads,
    edge_attention,
    head_sums,
    split_factors,
)

__all__ = ["table_attention", "table_attention_reference"]


def table_attention(
    table: Tensor, s: Tensor, *, inputs: AttentionInput, graph: Graph, num_heads: int
) -> tuple[Tensor, Tensor]:
    """Scalars and vectors that atoms receive. Differentiable to any order.

    ``graph`` is one of :func:`torchmdnet.neighbors.neighbor_graph`: its edges come with their reverse, and the
    direction of the reverse is the opposite.

    Shapes: table: (M, 6, 4, C), s: (P,) one coordinate a distance -> (N, C), (N, 3, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    _check(inputs, graph, num_heads)
    check_table_of(table, s, columns=(NUM_FACTORS, inputs.query.shape[1]), graph=graph)
    arrays = [value.contiguous() for value in (table, s, *inputs)]
    scalar, vector = native.call(
        "table_attention", *arrays, graph.receiver, graph.sender, graph.row_ptr, graph.pair, num_heads
    )
    return scalar, vector


def _check(inputs: AttentionInput, graph: Graph, num_heads: int) -> None:
    num_atoms, num_edges = graph.row_ptr.shape[0] - 1, graph.receiver.shape[0]
    channels = inputs.query.shape[-1]
    of_atom = (num_atoms, channels)
    wanted = [of_atom, of_atom, (num_atoms, 3 * channels), (num_atoms, 3, channels), (num_edges, 3)]
    given = [value.shape for value in inputs]
    if given != wanted:
        rows = zip(AttentionInput._fields, wanted, given, strict=True)
        name, size, found = next(row for row in rows if row[1] != row[2])
        raise ValueError(f"want {name} {size}, not {tuple(found)}")
    check_heads(channels, num_heads)


def table_attention_reference(
    table: Tensor, s: Tensor, *, inputs: AttentionInput, edges: Sequence[Tensor], num_heads: int
) -> tuple[Tensor, Tensor]:
    """Do the same with PyTorch's own operations and the factors of all edges: receiver, sender, row_ptr, pair."""
    receiver, sender, row_ptr, pair = edges
    scalar, vector = edge_attention(
        *split_factors(edge_rows(interpolate(table, s), row_ptr, pair)),
        inputs,
        receiver=receiver,
        sender=sender,
        num_heads=num_heads,
        activation=F.silu,
    )
    return scalar.contiguous(), vector.contiguous()


def table_attention_backward_reference(
    table: Tensor,
    s: Tensor,
    *,
    inputs: AttentionInput,
    edges: Sequence[Tensor],
    num_heads: int,
    grad_scalar: Tensor,
    grad_vector: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients by s, query, key, value, vector, direction. grad_scalar: (N, C), grad_vector: (N, 3, C)"""
    receiver, sender, row_ptr, pair = edges
    query, key, value, vector, direction = inputs
    num_atoms, channels = query.shape
    w0, w1, w2, w3 = edge_rows(interpolate(table, s), row_ptr, pair).unbind(1)
    slopes = edge_rows(interpolate(table, s, order=1), row_ptr, pair)
    q, k, g, of_vector = (
        rows.index_select(0, index)
        for rows, index in ((query, receiver), (key, sender), (grad_scalar, receiver), (grad_vector, receiver))
    )
    v1, v2, v3 = value.index_select(0, sender).chunk(3, dim=-1)
    score = head_sums(q * k * w0, num_heads)
    sigma = score.sigmoid()
    by_score = sigma * (1 + score * (1 - sigma)) * head_sums(g * v1 * w1, num_heads)
    width = channels // num_heads
    weighted = g * (score * sigma).repeat_interleave(width, dim=-1)
    by_score = by_score.repeat_interleave(width, dim=-1)
    along = (of_vector * vector.index_select(0, sender)).sum(1)
    across = (of_vector * direction.unsqueeze(-1)).sum(1)
    by_factors = torch.stack([by_score * q * k, weighted * v1, along * v2, across * v3], dim=1)
    return (
        scatter_sum((slopes * by_factors).sum((1, 2)), pair, s.shape[0]),
        scatter_sum(by_score * k * w0, receiver, num_atoms),
        scatter_sum(by_score * q * w0, sender, num_atoms),
        scatter_sum(torch.cat([weighted * w1, along * w2, across * w3], dim=1), sender, num_atoms),
        scatter_sum(of_vector * (v2 * w2).unsqueeze(1), sender, num_atoms),
        (of_vector * (v3 * w3).unsqueeze(1)).sum(2),
    )


def _reference(*arguments: Any) -> tuple[Tensor, Tensor]:
    table, s, *inputs, receiver, sender, row_ptr, pair, num_heads = arguments
    edges = (receiver, sender, row_ptr, pair)
    return table_attention_reference(table, s, inputs=AttentionInput(*inputs), edges=edges, num_heads=num_heads)


def _backward_reference(grad_scalar: Tensor, grad_vector: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    table, s, *inputs, receiver, sender, row_ptr, pair, num_heads = arguments
    return table_attention_backward_reference(
        table,
        s,
        inputs=AttentionInput(*inputs),
        edges=(receiver, sender, row_ptr, pair),
        num_heads=num_heads,
        grad_scalar=grad_scalar,
        grad_vector=grad_vector,
    )


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.num_heads = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_scalar: Tensor | None, grad_vector: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad_scalar is None and grad_vector is None:
        return (None,) * 12
    tensors = ctx.saved_tensors
    table, query, vector = tensors[0], tensors[2], tensors[5]
    grad_scalar = torch.zeros_like(query) if grad_scalar is None else grad_scalar.contiguous()
    grad_vector = torch.zeros_like(vector) if grad_vector is None else grad_vector.contiguous()
    results: list[Tensor | None] = [None] * 7
    if ctx.needs_input_grad[0]:
        (results[0],) = gradients_of(
            lambda values: _reference(values, *tensors[1:], ctx.num_heads),
            [table],
            grads=[grad_scalar, grad_vector],
            needed=[True],
        )
    if any(ctx.needs_input_grad[1:7]):
        results[1:] = native.call("table_attention_backward", grad_scalar, grad_vector, *tensors, ctx.num_heads)
    return (*results, None, None, None, None, None)


def _second_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *inputs, receiver, sender, row_ptr, pair = ctx.saved_tensors
    edges = (receiver, sender, row_ptr, pair)
    results = gradients_of(
        lambda *values: _backward_reference(*values, *edges, ctx.num_heads),
        inputs,
        grads=grads,
        needed=ctx.needs_input_grad[:9],
    )
    return (*results, None, None, None, None, None)


def _fake(*arguments: Any) -> tuple[Tensor, Tensor]:
    query, vector = arguments[2], arguments[5]
    return query.new_empty(query.shape), vector.new_empty(vector.shape)


def _backward_fake(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(value.new_empty(value.shape) for value in arguments[3:9])


_INPUTS = (
    "Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, Tensor vector, Tensor direction, "
    "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, int num_heads"
)
native.define(
    "table_attention",
    f"({_INPUTS}) -> (Tensor scalar, Tensor vector)",
    reference=_reference,
    fake=_fake,
    backward=_backward,
    setup_context=_keep_inputs,
)
native.define(
    "table_attention_backward",
    f"(Tensor grad_scalar, Tensor grad_vector, {_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    reference=_backward_reference,
    fake=_backward_fake,
    backward=_second_backward,
    setup_context=_keep_inputs,
)
