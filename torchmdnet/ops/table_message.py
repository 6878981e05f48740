r"""Messages between tensors, with weights that are read from a table of the distance.

:math:`M_i^c = \sum_j w^{p(c)}(s_{ij}) \odot X_j^c` as in :mod:`torchmdnet.ops.tensor_message`, where w is the
interpolated table (:mod:`torchmdnet.ops.radial_table`). No array of pairs x channels is made: the native op reads the
table for every edge anew, also for the gradients by X and s. Gradients by the table and second derivatives go through
the interpolated weights.
"""

from typing import Any

from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import NUM_COEFFICIENTS, gradients_of, interpolate, keep_inputs, through_reference
from torchmdnet.ops.tensor_algebra import NUM_COMPONENTS
from torchmdnet.ops.tensor_message import tensor_message, tensor_message_weight

__all__ = ["check_radial_table", "index_graph", "table_message", "table_message_reference"]


def table_message(table: Tensor, s: Tensor, x: Tensor, graph: Graph) -> Tensor:
    r"""Sum the neighbours' tensors: :math:`M_i^c = \sum_j w^{p(c)}(s_{ij}) \odot X_j^c`. Differentiable to any order.

    Shapes: table: (M, 6, 3, C), s: (P,) one coordinate a distance, x: (9, N, C) -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    num_atoms = graph.row_ptr.shape[0] - 1
    check_radial_table(table, s, graph=graph, num_channels=x.shape[-1])
    if x.ndim != 3 or x.shape[:2] != (NUM_COMPONENTS, num_atoms):
        raise ValueError(f"want x (9, N, C) with N = {num_atoms}, not {tuple(x.shape)}")
    result: Tensor = native.call(
        "table_message",
        table.contiguous(),
        s.contiguous(),
        x.contiguous(),
        graph.receiver,
        graph.sender,
        graph.row_ptr,
        graph.pair,
    )
    return result


def check_radial_table(table: Tensor, s: Tensor, *, graph: Graph, num_channels: int) -> None:
    """Refuse a table that is not (M, 6, 3, C), and coordinates that are not one a distance."""
    num_pairs = graph.pair_distance.shape[0]
    if (
        table.ndim != 4
        or table.shape[0] < 1
        or table.shape[1:] != (NUM_COEFFICIENTS, 3, num_channels)
        or s.shape != (num_pairs,)
    ):
        raise ValueError(
            f"want table (M, 6, 3, C) and s (P,) with M >= 1, C = {num_channels} and P = {num_pairs}, "
            f"not {tuple(table.shape)} and {tuple(s.shape)}"
        )


def table_message_reference(table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> Tensor:
    """Do the same with the weights of all pairs interpolated first. edges: receiver, sender, row_ptr, pair"""
    return tensor_message(interpolate(table, s), x, index_graph(s, *edges))


def table_message_backward_reference(
    grad: Tensor, table: Tensor, s: Tensor, x: Tensor, *edges: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by x and s. grad: (9, N, C) -> (9, N, C), (P,)"""
    graph = index_graph(s, *edges)
    by_weight = tensor_message_weight(x, grad, graph)
    by_s = (interpolate(table, s, order=1) * by_weight).sum((1, 2))
    return tensor_message(interpolate(table, s), grad, graph), by_s


def index_graph(s: Tensor, receiver: Tensor, sender: Tensor, row_ptr: Tensor, pair: Tensor) -> Graph:
    """A graph of which only the numbers of atoms and pairs are read; s stands for the distances. s: (P,)"""
    return Graph(receiver, sender, row_ptr, shift=sender, vector=s, distance=s, pair=pair, pair_distance=s)


def _reference(table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> Tensor:
    return table_message_reference(table, s, x, *edges).contiguous()


def _backward_reference(*arguments: Tensor) -> tuple[Tensor, Tensor]:
    by_x, by_s = table_message_backward_reference(*arguments)
    return by_x.contiguous(), by_s


def _message_backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    table, s, x, *edges = ctx.saved_tensors
    if grad is None:
        return (None,) * 7
    grad = grad.contiguous()
    by_table = None
    if ctx.needs_input_grad[0]:
        (by_table,) = gradients_of(
            lambda values: table_message_reference(values, s, x, *edges), [table], grads=[grad], needed=[True]
        )
    by_s = by_x = None
    if any(ctx.needs_input_grad[1:3]):
        by_x, by_s = native.call("table_message_backward", grad, table, s, x, *edges)
    return by_table, by_s, by_x, None, None, None, None


def _fake(table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _backward_fake(grad: Tensor, table: Tensor, s: Tensor, x: Tensor, *edges: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), s.new_empty(s.shape)


native.define(
    "table_message",
    "(Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
    reference=_reference,
    fake=_fake,
    backward=_message_backward,
    setup_context=keep_inputs,
)
native.define(
    "table_message_backward",
    "(Tensor grad, Tensor table, Tensor s, Tensor x, Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair) "
    "-> (Tensor x, Tensor s)",
    reference=_backward_reference,
    fake=_backward_fake,
    backward=through_reference(table_message_backward_reference),
    setup_context=keep_inputs,
)
