r"""The tensor of each atom's surroundings, with weights that are read from a table of the distance.

:math:`X_i^c = \sum_j w^{p(c)}(s_{ij}) \odot (a_i + b_j) \, Y_{ij}^c` as in :mod:`torchmdnet.ops.tensor_environment`,
where w is the interpolated table (:mod:`torchmdnet.ops.radial_table`). No array of pairs x channels is made, neither
for the sum nor for its gradients by Y and s. Other gradients, and second derivatives, go through the interpolated
weights.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import gradients_of, interpolate, keep_inputs, through_reference
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.table_message import check_radial_table, index_graph
from torchmdnet.ops.tensor_algebra import NUM_COMPONENTS, PART_SIZES
from torchmdnet.ops.tensor_environment import tensor_environment

__all__ = ["table_environment", "table_environment_reference"]


def table_environment(
    table: Tensor, s: Tensor, *, components: Tensor, own: Tensor, other: Tensor, graph: Graph
) -> Tensor:
    r"""The sum over neighbours, differentiable to any order.

    Shapes: table: (M, 6, 3, C), s: (P,) one coordinate a distance, components Y: (E, 9), own a: (N, C),
    other b: (N, C) -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    check_radial_table(table, s, graph=graph, num_channels=own.shape[-1])
    num_edges, num_atoms = graph.sender.shape[0], graph.row_ptr.shape[0] - 1
    if components.shape != (num_edges, NUM_COMPONENTS) or own.shape != other.shape or own.shape[:-1] != (num_atoms,):
        raise ValueError(
            f"want components (E, 9), own and other (N, C) with E = {num_edges} and N = {num_atoms}, not "
            f"{tuple(components.shape)}, {tuple(own.shape)} and {tuple(other.shape)}"
        )
    arrays = [value.contiguous() for value in (table, s, components, own, other)]
    result: Tensor = native.call("table_environment", *arrays, graph.receiver, graph.sender, graph.row_ptr, graph.pair)
    return result


def table_environment_reference(
    table: Tensor, s: Tensor, components: Tensor, own: Tensor, other: Tensor, *edges: Tensor
) -> Tensor:
    """Do the same with the weights of all pairs interpolated first. edges: receiver, sender, row_ptr, pair"""
    graph = index_graph(s, *edges)
    return tensor_environment(interpolate(table, s), components, own=own, other=other, graph=graph)


def table_environment_backward_reference(
    grad: Tensor, table: Tensor, s: Tensor, components: Tensor, own: Tensor, other: Tensor, *edges: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by Y and s. grad: (9, N, C) -> (E, 9), (P,)"""
    receiver, sender, row_ptr, pair = edges
    elements = own.index_select(0, receiver) + other.index_select(0, sender)
    turned = grad.transpose(0, 1).index_select(0, receiver) * elements.unsqueeze(1)
    # Padding belongs to no atom; its weight is zero, its slope need not be.
    is_edge = torch.arange(receiver.shape[0], device=receiver.device) < row_ptr[-1]
    turned = turned * is_edge.to(grad.dtype).reshape(-1, 1, 1)
    weight, slope = interpolate(table, s), interpolate(table, s, order=1)
    by_components, by_s = [], []
    edge_parts = zip(turned.split(PART_SIZES, dim=1), components.split(PART_SIZES, dim=1), strict=True)
    for number, (values, directions) in enumerate(edge_parts):
        by_components.append((values * weight[:, number].index_select(0, pair).unsqueeze(1)).sum(2))
        along = (values * directions.unsqueeze(2)).sum(1)
        by_s.append((along * slope[:, number].index_select(0, pair)).sum(1))
    return torch.cat(by_components, dim=1), scatter_sum(torch.stack(by_s).sum(0), pair, s.shape[0])


def _reference(*arguments: Tensor) -> Tensor:
    return table_environment_reference(*arguments).contiguous()


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    *inputs, receiver, sender, row_ptr, pair = ctx.saved_tensors
    edges = (receiver, sender, row_ptr, pair)
    if grad is None:
        return (None,) * 9
    grad = grad.contiguous()
    needs_table, needs_s, needs_components, needs_own, needs_other = ctx.needs_input_grad[:5]
    results: list[Tensor | None] = [None] * 5
    if needs_table or needs_own or needs_other:
        results = gradients_of(
            lambda *values: table_environment_reference(*values, *edges),
            inputs,
            grads=[grad],
            needed=[needs_table, False, False, needs_own, needs_other],
        )
    if needs_s or needs_components:
        results[2], results[1] = native.call("table_environment_backward", grad, *inputs, *edges)
    return (*results, None, None, None, None)


def _fake(table: Tensor, s: Tensor, y: Tensor, own: Tensor, other: Tensor, *edges: Tensor) -> Tensor:
    return own.new_empty((NUM_COMPONENTS, *own.shape))


def _backward_fake(grad: Tensor, table: Tensor, s: Tensor, y: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    return y.new_empty(y.shape), s.new_empty(s.shape)


native.define(
    "table_environment",
    "(Tensor table, Tensor s, Tensor y, Tensor own, Tensor other, Tensor receiver, Tensor sender, Tensor row_ptr, "
    "Tensor pair) -> Tensor",
    reference=_reference,
    fake=_fake,
    backward=_backward,
    setup_context=keep_inputs,
)
native.define(
    "table_environment_backward",
    "(Tensor grad, Tensor table, Tensor s, Tensor y, Tensor own, Tensor other, Tensor receiver, Tensor sender, "
    "Tensor row_ptr, Tensor pair) -> (Tensor y, Tensor s)",
    reference=table_environment_backward_reference,
    fake=_backward_fake,
    backward=through_reference(table_environment_backward_reference),
    setup_context=keep_inputs,
)
