r"""Sums over neighbours with weights that are read from a table of the distance.

:math:`y_i = \sum_j w(s_{ij}) \odot x_j`, where w is the interpolated table (:mod:`torchmdnet.ops.radial_table`). No
array of pairs x channels is made: the native op reads the table for every edge anew, also for the gradients by x and s.
Gradients by the table and second derivatives go through the interpolated weights.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import gradients_of, interpolate, keep_inputs, through_reference
from torchmdnet.ops.scatter import scatter_sum

__all__ = ["NUM_POWERS", "check_table_of", "edge_rows", "table_sum", "table_sum_reference"]

NUM_POWERS = 6
"""Coefficients of the polynomials, which are of fifth degree."""


def table_sum(table: Tensor, s: Tensor, *, x: Tensor, graph: Graph) -> Tensor:
    r"""Sum the neighbours' rows: :math:`y_i = \sum_j w(s_{ij}) \odot x_j`. Differentiable to any order.

    ``graph`` is one of :func:`torchmdnet.neighbors.neighbor_graph`: its edges come with their reverse.

    Shapes: table: (M, 6, C), s: (P,) one coordinate a distance, x: (N, C) -> (N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    num_atoms = graph.row_ptr.shape[0] - 1
    if x.ndim != 2 or x.shape[0] != num_atoms:
        raise ValueError(f"want x (N, C) with N = {num_atoms}, not {tuple(x.shape)}")
    check_table_of(table, s, columns=(x.shape[1],), graph=graph)
    arrays = [value.contiguous() for value in (table, s, x)]
    result: Tensor = native.call("table_sum", *arrays, graph.receiver, graph.sender, graph.row_ptr, graph.pair)
    return result


def check_table_of(table: Tensor, s: Tensor, *, columns: tuple[int, ...], graph: Graph) -> None:
    """Refuse a table that is not (M, 6, columns), and coordinates that are not one a distance."""
    num_pairs = graph.pair_distance.shape[0]
    wanted = (NUM_POWERS, *columns)
    if table.ndim != 1 + len(wanted) or table.shape[0] < 1 or table.shape[1:] != wanted or s.shape != (num_pairs,):
        raise ValueError(
            f"want table (M, {', '.join(map(str, wanted))}) with M >= 1 and s ({num_pairs},), "
            f"not {tuple(table.shape)} and {tuple(s.shape)}"
        )


def edge_rows(values: Tensor, row_ptr: Tensor, pair: Tensor) -> Tensor:
    """From rows of pairs to rows of edges; those of padding are zero. (P, ...) -> (E, ...)"""
    is_edge = torch.arange(pair.shape[0], device=pair.device) < row_ptr[-1]
    return values.index_select(0, pair) * is_edge.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))


def table_sum_reference(table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> Tensor:
    """Do the same with the weights of all edges interpolated first. edges: receiver, sender, row_ptr, pair"""
    receiver, sender, row_ptr, pair = edges
    weight = edge_rows(interpolate(table, s), row_ptr, pair)
    return scatter_sum(weight * x.index_select(0, sender), receiver, x.shape[0])


def table_sum_backward_reference(
    grad: Tensor, table: Tensor, s: Tensor, x: Tensor, *edges: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by x and s. grad: (N, C) -> (N, C), (P,)"""
    receiver, sender, row_ptr, pair = edges
    weight = edge_rows(interpolate(table, s), row_ptr, pair)
    slope = edge_rows(interpolate(table, s, order=1), row_ptr, pair)
    at_receiver = grad.index_select(0, receiver)
    along = (slope * at_receiver * x.index_select(0, sender)).sum(1)
    return scatter_sum(weight * at_receiver, sender, x.shape[0]), scatter_sum(along, pair, s.shape[0])


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    table, s, x, *edges = ctx.saved_tensors
    if grad is None:
        return (None,) * 7
    grad = grad.contiguous()
    by_table = by_s = by_x = None
    if ctx.needs_input_grad[0]:
        (by_table,) = gradients_of(
            lambda values: table_sum_reference(values, s, x, *edges), [table], grads=[grad], needed=[True]
        )
    if any(ctx.needs_input_grad[1:3]):
        by_x, by_s = native.call("table_sum_backward", grad, table, s, x, *edges)
    return by_table, by_s, by_x, None, None, None, None


def _fake(table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _backward_fake(grad: Tensor, table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), s.new_empty(s.shape)


native.define(
    "table_sum",
    "(Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
    reference=table_sum_reference,
    fake=_fake,
    backward=_backward,
    setup_context=keep_inputs,
)
native.define(
    "table_sum_backward",
    "(Tensor grad, Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) "
    "-> (Tensor x, Tensor s)",
    reference=table_sum_backward_reference,
    fake=_backward_fake,
    backward=through_reference(table_sum_backward_reference),
    setup_context=keep_inputs,
)
