r"""Attention over neighbours of scalars alone, with factors that are read from a table of the distance.

The same as :mod:`torchmdnet.ops.scalar_attention` with :math:`\psi(x) = x / (1 + e^{-x})`, where the factors are the
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
from torchmdnet.ops.scalar_attention import NUM_SCALAR_FACTORS, ScalarAttentionInput, edge_scalar_attention
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.table_sum import check_table_of, edge_rows
from torchmdnet.ops.vector_attention import check_heads, head_sums

__all__ = ["table_scalar_attention", "table_scalar_attention_reference"]


def table_scalar_attention(
    table: Tensor, s: Tensor, *, inputs: ScalarAttentionInput, graph: Graph, num_heads: int
) -> Tensor:
    """Scalars that atoms receive. Differentiable to any order.

    ``graph`` is one of :func:`torchmdnet.neighbors.neighbor_graph`: its edges come with their reverse.

    Shapes: table: (M, 6, 2, C), s: (P,) one coordinate a distance -> (N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    _check(inputs, graph, num_heads)
    check_table_of(table, s, columns=(NUM_SCALAR_FACTORS, inputs.query.shape[1]), graph=graph)
    arrays = [value.contiguous() for value in (table, s, *inputs)]
    result: Tensor = native.call(
        "table_scalar_attention", *arrays, graph.receiver, graph.sender, graph.row_ptr, graph.pair, num_heads
    )
    return result


def _check(inputs: ScalarAttentionInput, graph: Graph, num_heads: int) -> None:
    num_atoms, channels = graph.row_ptr.shape[0] - 1, inputs.query.shape[-1]
    for name, value in inputs._asdict().items():
        if value.shape != (num_atoms, channels):
            raise ValueError(f"want {name} {(num_atoms, channels)}, not {tuple(value.shape)}")
    check_heads(channels, num_heads)


def table_scalar_attention_reference(
    table: Tensor, s: Tensor, *, inputs: ScalarAttentionInput, edges: Sequence[Tensor], num_heads: int
) -> Tensor:
    """Do the same with PyTorch's own operations and the factors of all edges: receiver, sender, row_ptr, pair."""
    receiver, sender, row_ptr, pair = edges
    of_key, of_value = edge_rows(interpolate(table, s), row_ptr, pair).unbind(1)
    return edge_scalar_attention(
        of_key,
        of_value,
        inputs,
        receiver=receiver,
        sender=sender,
        num_heads=num_heads,
        activation=F.silu,
    )


def table_scalar_attention_backward_reference(
    grad: Tensor,
    table: Tensor,
    s: Tensor,
    *,
    inputs: ScalarAttentionInput,
    edges: Sequence[Tensor],
    num_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by s, query, key and value. grad: (N, C) -> (P,), three (N, C)"""
    receiver, sender, row_ptr, pair = edges
    num_atoms, channels = inputs.query.shape
    of_key, of_value = edge_rows(interpolate(table, s), row_ptr, pair).unbind(1)
    slopes = edge_rows(interpolate(table, s, order=1), row_ptr, pair)
    query, own_grad = inputs.query.index_select(0, receiver), grad.index_select(0, receiver)
    key, value = inputs.key.index_select(0, sender), inputs.value.index_select(0, sender)
    score = head_sums(query * key * of_key, num_heads)
    sigma = score.sigmoid()
    by_score = sigma * (1 + score * (1 - sigma)) * head_sums(own_grad * value * of_value, num_heads)
    width = channels // num_heads
    by_score = by_score.repeat_interleave(width, dim=-1)
    weighted = own_grad * (score * sigma).repeat_interleave(width, dim=-1)
    by_factors = torch.stack([by_score * query * key, weighted * value], dim=1)
    return (
        scatter_sum((slopes * by_factors).sum((1, 2)), pair, s.shape[0]),
        scatter_sum(by_score * key * of_key, receiver, num_atoms),
        scatter_sum(by_score * query * of_key, sender, num_atoms),
        scatter_sum(weighted * of_value, sender, num_atoms),
    )


def _reference(*arguments: Any) -> Tensor:
    table, s, *inputs, receiver, sender, row_ptr, pair, num_heads = arguments
    return table_scalar_attention_reference(
        table,
        s,
        inputs=ScalarAttentionInput(*inputs),
        edges=(receiver, sender, row_ptr, pair),
        num_heads=num_heads,
    )


def _backward_reference(grad: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    table, s, *inputs, receiver, sender, row_ptr, pair, num_heads = arguments
    return table_scalar_attention_backward_reference(
        grad,
        table,
        s,
        inputs=ScalarAttentionInput(*inputs),
        edges=(receiver, sender, row_ptr, pair),
        num_heads=num_heads,
    )


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.num_heads = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 10
    tensors, grad = ctx.saved_tensors, grad.contiguous()
    results: list[Tensor | None] = [None] * 5
    if ctx.needs_input_grad[0]:
        (results[0],) = gradients_of(
            lambda values: _reference(values, *tensors[1:], ctx.num_heads), [tensors[0]], grads=[grad], needed=[True]
        )
    if any(ctx.needs_input_grad[1:5]):
        results[1:] = native.call("table_scalar_attention_backward", grad, *tensors, ctx.num_heads)
    return (*results, None, None, None, None, None)


def _second_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *inputs, receiver, sender, row_ptr, pair = ctx.saved_tensors
    edges = (receiver, sender, row_ptr, pair)
    results = gradients_of(
        lambda *values: _backward_reference(*values, *edges, ctx.num_heads),
        inputs,
        grads=grads,
        needed=ctx.needs_input_grad[:6],
    )
    return (*results, None, None, None, None, None)


def _backward_fake(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(value.new_empty(value.shape) for value in arguments[2:6])


_INPUTS = (
    "Tensor table, Tensor s, Tensor query, Tensor key, Tensor value, "
    "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair, int num_heads"
)
native.define(
    "table_scalar_attention",
    f"({_INPUTS}) -> Tensor",
    reference=_reference,
    fake=native.like(position=2),
    backward=_backward,
    setup_context=_keep_inputs,
)
native.define(
    "table_scalar_attention_backward",
    f"(Tensor grad, {_INPUTS}) -> (Tensor s, Tensor query, Tensor key, Tensor value)",
    reference=_backward_reference,
    fake=_backward_fake,
    backward=_second_backward,
    setup_context=_keep_inputs,
)
