r"""The tensor of each atom's surroundings: :math:`X_i^c = \sum_j w_{ij}^{p(c)} \odot (a_i + b_j) \, Y_{ij}^c`.

The sum is linear in each of w, Y and (a, b). So every derivative of it is the sum itself, or its gradient, with some
arguments exchanged: two kernels serve all orders.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.tensor_algebra import NUM_COMPONENTS, PART_SIZES

__all__ = ["tensor_environment", "tensor_environment_reference"]


def tensor_environment(weight: Tensor, components: Tensor, *, own: Tensor, other: Tensor, graph: Graph) -> Tensor:
    r"""The sum over neighbours, differentiable to any order.

    ``graph`` is one of :func:`torchmdnet.neighbors.neighbor_graph`: its edges come with their reverse.

    Shapes: weight w: (P, 3, C) one row a distance, components Y: (E, 9), own a: (N, C), other b: (N, C) -> (9, N, C).
    """
    if not native.has_kernel("tensor_environment", weight, components, own, other):
        return tensor_environment_reference(weight, components, own=own, other=other, graph=graph)
    arrays = (value.contiguous() for value in (components, weight, own, other))
    result: Tensor = _Environment.apply(*arrays, graph.sender, graph.row_ptr, graph.pair)
    return result


def tensor_environment_reference(
    weight: Tensor, components: Tensor, *, own: Tensor, other: Tensor, graph: Graph
) -> Tensor:
    """Do the same with PyTorch's own operations, which store edges x 9 x channels."""
    elements = own.index_select(0, graph.receiver) + other.index_select(0, graph.sender)
    weights = weight.index_select(0, graph.pair) * elements.unsqueeze(1)
    parts = zip(components.split(PART_SIZES, dim=1), weights.unbind(1), strict=True)
    edges = torch.cat([direction.unsqueeze(2) * part.unsqueeze(1) for direction, part in parts], dim=1)
    return scatter_sum(edges, graph.receiver, own.shape[0]).transpose(0, 1)


class _Environment(torch.autograd.Function):
    """(Y, w, a, b) -> X."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor, own: Tensor, other: Tensor, *edges: Tensor) -> Tensor:
        ctx.save_for_backward(y, weight, own, other, *edges)
        result: Tensor = native.call("tensor_environment", y, weight, own, other, *edges)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*_Gradient.apply(grad.contiguous(), *ctx.saved_tensors), None, None, None)


class _Gradient(torch.autograd.Function):
    """(G, Y, w, a, b) -> the derivatives of G·X by Y, w, a and b."""

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, y: Tensor, weight: Tensor, own: Tensor, other: Tensor, *edges: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(grad, y, weight, own, other, *edges)
        ctx.set_materialize_grads(False)
        result: tuple[Tensor, ...] = native.call("tensor_environment_backward", grad, y, weight, own, other, *edges)
        return result

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        """Replace one argument after the other by what comes from above: each output was linear in the others."""
        grad, y, weight, own, other, *edges = ctx.saved_tensors
        of_y, of_weight, of_own, of_other = (None if value is None else value.contiguous() for value in upstream)
        results: list[Tensor | None] = [None] * 5
        cases: list[tuple[tuple[Tensor, ...], tuple[bool, ...]]] = []
        if of_y is not None:
            cases.append(((of_y, weight, own, other), (False, True, True, True)))
        if of_weight is not None:
            cases.append(((y, of_weight, own, other), (True, False, True, True)))
        if of_own is not None or of_other is not None:
            of_own = torch.zeros_like(own) if of_own is None else of_own
            of_other = torch.zeros_like(other) if of_other is None else of_other
            cases.append(((y, weight, of_own, of_other), (True, True, False, False)))
        for arguments, is_kept in cases:
            values = [_Environment.apply(*arguments, *edges)]
            values += _Gradient.apply(grad, *arguments, *edges)
            for number, (value, keep) in enumerate(zip(values, (True, *is_kept), strict=True)):
                if keep:
                    before = results[number]
                    results[number] = value if before is None else before + value
        return (*results, None, None, None)


def _fake(y: Tensor, weight: Tensor, own: Tensor, other: Tensor, *edges: Tensor) -> Tensor:
    return own.new_empty((NUM_COMPONENTS, *own.shape))


def _backward_fake(grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(value.new_empty(value.shape) for value in inputs[:4])


native.describe("tensor_environment", fake=_fake)
native.describe("tensor_environment_backward", fake=_backward_fake)
