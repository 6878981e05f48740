r"""Messages between tensors of 1 + 3 + 5 components: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`.

The components c are a scalar, a vector and a symmetric traceless matrix, the parts p(c) of the weight. Written with
PyTorch's own operations this stores several arrays of edges x components x channels; the native op stores none.

An edge and its reverse share their weight. So the sum is its own adjoint with respect to X, and with the adjoint with
respect to w, :math:`W_{ij}^p = \sum_{c \in p} (X_j^c \odot Y_i^c + X_i^c \odot Y_j^c)`, derivatives of all orders are
these two ops.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.edge_message import edge_message_reference
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.tensor_algebra import NUM_COMPONENTS, PART_SIZES

__all__ = [
    "tensor_message",
    "tensor_message_reference",
    "tensor_message_weight",
    "tensor_message_weight_reference",
]


def tensor_message(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    r"""Sum the neighbours' tensors: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`. Differentiable to any order.

    ``graph`` is one of :func:`torchmdnet.neighbors.neighbor_graph`: its edges come with their reverse, without which
    derivatives would be wrong.

    Shapes: weight: (P, 3, C) one row a distance, x: (9, N, C) -> (9, N, C).

    Raises:
        ValueError: shapes that do not go together.
        RuntimeError: an edge without its reverse. A GPU is not waited for: there the derivative by the weight of that
            pair is NaN.
    """
    num_pairs, num_atoms = graph.pair_distance.shape[0], graph.row_ptr.shape[0] - 1
    if x.ndim != 3 or x.shape[:2] != (NUM_COMPONENTS, num_atoms) or weight.shape != (num_pairs, 3, x.shape[2]):
        raise ValueError(
            f"want weight (P, 3, C) and x (9, N, C) with P = {num_pairs} and N = {num_atoms}, "
            f"not {tuple(weight.shape)} and {tuple(x.shape)}"
        )
    if not native.has_kernel("tensor_message", weight, x):
        return tensor_message_reference(weight, x, graph)
    result: Tensor = native.call(
        "tensor_message", weight.contiguous(), x.contiguous(), graph.sender, graph.row_ptr, graph.pair
    )
    return result


def tensor_message_reference(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    """Do the same with PyTorch's own operations."""
    return edge_message_reference(weight.index_select(0, graph.pair), x, graph)


def tensor_message_weight(x: Tensor, y: Tensor, graph: Graph) -> Tensor:
    """Adjoint of the message with respect to the weight. Differentiable to any order.

    Shapes: x, y: (9, N, C) -> (P, 3, C).
    """
    if not native.has_kernel("tensor_message_weight", x, y):
        return tensor_message_weight_reference(x, y, graph)
    rows = graph.pair_distance.detach()
    result: Tensor = native.call(
        "tensor_message_weight", x.contiguous(), y.contiguous(), graph.sender, graph.row_ptr, graph.pair, rows
    )
    return result


def tensor_message_weight_reference(x: Tensor, y: Tensor, graph: Graph) -> Tensor:
    r"""Adjoint with respect to the weight: :math:`W_{ij}^p = \sum_{c \in p} (X_j^c \odot Y_i^c + X_i^c \odot Y_j^c)`.

    Shapes: x, y: (9, N, C) -> (P, 3, C).
    """
    edges = x.index_select(1, graph.sender) * y.index_select(1, graph.receiver)
    by_part = torch.stack([part.sum(0) for part in edges.split(PART_SIZES)], dim=1)
    return scatter_sum(by_part, graph.pair, graph.pair_distance.shape[0])


def _weight_fake(x: Tensor, y: Tensor, sender: Tensor, row_ptr: Tensor, pair: Tensor, rows: Tensor) -> Tensor:
    return x.new_empty((rows.shape[0], 3, x.shape[2]))


def _keep_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _message_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weight, x, *edges = ctx.saved_tensors
    grad = grad.contiguous()
    grad_weight = (
        native.call("tensor_message_weight", x, grad, *edges, weight.detach()) if ctx.needs_input_grad[0] else None
    )
    grad_x = native.call("tensor_message", weight, grad, *edges) if ctx.needs_input_grad[1] else None
    return grad_weight, grad_x, None, None, None


def _weight_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, y, *edges, _ = ctx.saved_tensors
    grad = grad.contiguous()
    grad_x = native.call("tensor_message", grad, y, *edges) if ctx.needs_input_grad[0] else None
    grad_y = native.call("tensor_message", grad, x, *edges) if ctx.needs_input_grad[1] else None
    return grad_x, grad_y, None, None, None, None


native.describe("tensor_message", fake=native.like(position=1), backward=_message_backward, setup_context=_keep_inputs)
native.describe("tensor_message_weight", fake=_weight_fake, backward=_weight_backward, setup_context=_keep_inputs)
