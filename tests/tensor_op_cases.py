"""Arguments of the ops on tensors and jets, for their kernels on the CPU, on threads of it and on a GPU."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from table_graphs import TableGraph, table_graph
from torch import Tensor

from torchmdnet.graph import Graph

Calls = dict[str, list[tuple[Any, ...]]]
"""Lists of arguments by the name of the op."""


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random ones."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)


def column_calls(num_atoms: int, channels: int, dtype: torch.dtype) -> Calls:
    """Those of the ops on each atom's tensors."""
    x, grad, other = numbers(3, 9, num_atoms, channels, dtype=dtype).unbind(0)
    return {
        "tensor_product": [(x, grad, a, b, both) for a in (0, 1) for b in (0, 1) for both in (0, 1)],
        "tensor_normalize": [(x,)],
        "tensor_normalize_slope": [(x, grad)],
        "tensor_normalize_curvature": [(x, grad, other)],
    }


def row_calls(rows: int, channels: int, dtype: torch.dtype) -> Calls:
    """Those of the ops on radial functions and their slopes."""
    x, slope, f, grad, grad_slope = numbers(5, rows, channels, dtype=dtype).unbind(0)
    c, c_slope, h = numbers(3, rows, 1, seed=1, dtype=dtype).unbind(0)
    sigma = x.sigmoid()
    return {
        "silu_jet": [(x, sigma, slope)],
        "silu_jet_backward": [(grad, grad_slope, x, sigma, slope)],
        "faded_slope": [(grad, f, slope, c, c_slope), (grad, f, slope, c.flatten(), c_slope)],
        "faded_slope_backward": [(h.flatten(), grad, f, slope, c, c_slope)],
    }


class PairGraph(NamedTuple):
    """A graph, and arrays of random numbers for its atoms, edges and pairs, in the names of the ops."""

    graph: Graph
    weight: Tensor
    x: Tensor
    y: Tensor
    own: Tensor
    other: Tensor
    grad: Tensor

    def calls(self) -> Calls:
        """The arguments of each op by its name."""
        edges = self.graph.sender, self.graph.row_ptr, self.graph.pair
        all_edges = self.graph.receiver, *edges
        # Not the same for an edge and its reverse.
        of_edges = self.y[:, 1:4, None] * torch.linspace(0.5, 1.5, self.own.shape[1], dtype=self.y.dtype)
        surroundings = (self.y, self.weight, self.own, self.other, *edges)
        return {
            "tensor_message": [(self.weight, self.x, *edges)],
            "tensor_message_weight": [(self.x, self.grad, *edges, self.weight)],
            "edge_message": [(of_edges, self.x, *all_edges)],
            "edge_message_transpose": [(of_edges, self.grad, *all_edges)],
            "edge_message_weight": [(self.x, self.grad, *all_edges)],
            "tensor_environment": [surroundings],
            "tensor_environment_backward": [(self.grad, *surroundings)],
        }


def pair_graph(kind: str = "plain", **options: Any) -> PairGraph:
    """Some systems of up to 24 atoms; the options are those of :func:`table_graphs.table_graph`."""
    case: TableGraph = table_graph(kind, **options)
    weight = numbers(len(case.s), 3, case.own.shape[1], seed=4, dtype=case.s.dtype)
    return PairGraph(case.graph, weight, case.x, case.y, case.own, case.other, case.grad)


def results(ops: Any, calls: Calls) -> dict[str, list[Tensor]]:
    """What each op returns for all its arguments."""
    found: dict[str, list[Tensor]] = {}
    for name, lists in calls.items():
        values = [getattr(ops, name)(*arguments) for arguments in lists]
        found[name] = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return found


def message_derivatives(
    op: Callable[[Tensor, Tensor, Graph], Tensor], weight: Tensor, x: Tensor, graph: Graph
) -> tuple[Tensor, ...]:
    """Gradients by weight and x of a number made of first, second and third derivatives of messages."""
    inputs = (weight.clone().requires_grad_(), x.clone().requires_grad_())
    value = op(inputs[0].sin(), inputs[1].cos(), graph).sin().sum()
    for _ in range(3):
        first, second = torch.autograd.grad(value, inputs, create_graph=True)
        value = first.square().sum() + second.sin().sum()
    return torch.autograd.grad(value, inputs)
