r"""Messages between tensors with a weight for each edge: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`.

Unlike in :mod:`torchmdnet.ops.tensor_message` an edge and its reverse may have different weights. Written with
PyTorch's own operations this stores several arrays of edges x components x channels; the native op stores none.

With the transpose, :math:`T_j^c = \sum_i w_{ij}^{p(c)} \odot Y_i^c`, and the adjoint with respect to w,
:math:`W_{ij}^p = \sum_{c \in p} X_j^c \odot Y_i^c`, derivatives of all orders are these three ops.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.tensor_algebra import NUM_COMPONENTS, PART_SIZES

__all__ = ["edge_message", "edge_message_reference"]


def edge_message(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    r"""Sum the neighbours' tensors: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`. Differentiable to any order.

    ``graph`` is one of :func:`torchmdnet.neighbors.neighbor_graph`: its edges come with their reverse.

    Shapes: weight: (E, 3, C), x: (9, N, C) -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
    """
    num_edges, num_atoms = graph.sender.shape[0], graph.row_ptr.shape[0] - 1
    if x.ndim != 3 or x.shape[:2] != (NUM_COMPONENTS, num_atoms) or weight.shape != (num_edges, 3, x.shape[2]):
        raise ValueError(
            f"want weight (E, 3, C) and x (9, N, C) with E = {num_edges} and N = {num_atoms}, "
            f"not {tuple(weight.shape)} and {tuple(x.shape)}"
        )
    if not native.has_kernel("edge_message", weight, x):
        return edge_message_reference(weight, x, graph)
    result: Tensor = native.call(
        "edge_message",
        weight.contiguous(),
        x.contiguous(),
        graph.receiver,
        graph.sender,
        graph.row_ptr,
        graph.pair,
    )
    return result


def edge_message_reference(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    """Do the same with PyTorch's own operations."""
    return _gathered(weight, x, graph.sender, graph.receiver)


def _gathered(weight: Tensor, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Weighted sum over the edges of each target of what their sources have.

    ``index_select`` because the gradient of plain indexing adds up in no fixed order when there are several threads.
    """
    rows = x.transpose(0, 1).index_select(0, source).split(PART_SIZES, dim=1)
    message = torch.cat([w.unsqueeze(1) * row for w, row in zip(weight.unbind(1), rows, strict=True)], dim=1)
    return scatter_sum(message, target, x.shape[1]).transpose(0, 1)


def _message_reference(
    weight: Tensor, x: Tensor, receiver: Tensor, sender: Tensor, row_ptr: Tensor, pair: Tensor
) -> Tensor:
    return _gathered(weight, x, sender, receiver).contiguous()


def _transpose_reference(
    weight: Tensor, y: Tensor, receiver: Tensor, sender: Tensor, row_ptr: Tensor, pair: Tensor
) -> Tensor:
    return _gathered(weight, y, receiver, sender).contiguous()


def _weight_reference(x: Tensor, y: Tensor, receiver: Tensor, sender: Tensor, row_ptr: Tensor, pair: Tensor) -> Tensor:
    edges = x.index_select(1, sender) * y.index_select(1, receiver)
    return torch.stack([part.sum(0) for part in edges.split(PART_SIZES)], dim=1)


def _weight_fake(x: Tensor, y: Tensor, receiver: Tensor, sender: Tensor, row_ptr: Tensor, pair: Tensor) -> Tensor:
    return x.new_empty((sender.shape[0], 3, x.shape[2]))


def _keep_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _message_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weight, x, *edges = ctx.saved_tensors
    grad = grad.contiguous()
    by_weight = native.call("edge_message_weight", x, grad, *edges) if ctx.needs_input_grad[0] else None
    by_x = native.call("edge_message_transpose", weight, grad, *edges) if ctx.needs_input_grad[1] else None
    return by_weight, by_x, None, None, None, None


def _transpose_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weight, y, *edges = ctx.saved_tensors
    grad = grad.contiguous()
    by_weight = native.call("edge_message_weight", grad, y, *edges) if ctx.needs_input_grad[0] else None
    by_y = native.call("edge_message", weight, grad, *edges) if ctx.needs_input_grad[1] else None
    return by_weight, by_y, None, None, None, None


def _weight_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, y, *edges = ctx.saved_tensors
    grad = grad.contiguous()
    by_x = native.call("edge_message_transpose", grad, y, *edges) if ctx.needs_input_grad[0] else None
    by_y = native.call("edge_message", grad, x, *edges) if ctx.needs_input_grad[1] else None
    return by_x, by_y, None, None, None, None


_EDGES = "Tensor receiver, Tensor sender, Tensor row_ptr, Tensor pair"
native.define(
    "edge_message",
    f"(Tensor weight, Tensor x, {_EDGES}) -> Tensor",
    reference=_message_reference,
    fake=native.like(position=1),
    backward=_message_backward,
    setup_context=_keep_inputs,
)
native.define(
    "edge_message_transpose",
    f"(Tensor weight, Tensor y, {_EDGES}) -> Tensor",
    reference=_transpose_reference,
    fake=native.like(position=1),
    backward=_transpose_backward,
    setup_context=_keep_inputs,
)
native.define(
    "edge_message_weight",
    f"(Tensor x, Tensor y, {_EDGES}) -> Tensor",
    reference=_weight_reference,
    fake=_weight_fake,
    backward=_weight_backward,
    setup_context=_keep_inputs,
)
