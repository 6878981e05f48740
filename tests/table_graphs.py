"""Graphs of several systems, with what the ops on radial tables read: images, lone atoms, self pairs, padding."""

from typing import NamedTuple

import torch
from random_systems import graph_of, random_system
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops.radial_table import midpoint_table

INTERVALS = 9
CUTOFF = 2.5


class TableGraph(NamedTuple):
    """A graph, and arrays of random numbers for its atoms and edges, in the names of the ops."""

    graph: Graph
    table: Tensor
    s: Tensor
    x: Tensor
    y: Tensor
    own: Tensor
    other: Tensor
    grad: Tensor

    @property
    def edges(self) -> tuple[Tensor, ...]:
        """The last arguments of all the ops."""
        return self.graph.receiver, self.graph.sender, self.graph.row_ptr, self.graph.pair

    def calls(self) -> dict[str, tuple[Tensor, ...]]:
        """The arguments of each op by its name."""
        message = (self.table, self.s, self.x, *self.edges)
        environment = (self.table, self.s, self.y, self.own, self.other, *self.edges)
        return {
            "table_message": message,
            "table_message_backward": (self.grad, *message),
            "table_environment": environment,
            "table_environment_backward": (self.grad, *environment),
        }


def table_graph(
    kind: str = "plain",
    *,
    channels: int = 5,
    dtype: torch.dtype = torch.float64,
    loop: bool = True,
    capacity: int | None = None,
    system: System | None = None,
) -> TableGraph:
    """Some systems of up to 24 atoms of a kind of ``random_systems``; a capacity adds padding.

    As in a model, the functions are zero at coordinate 0, the cutoff, where padding lies; some coordinates lie outside.
    """
    system = random_system(7, kind=kind, upper=CUTOFF, spread=2.0) if system is None else system
    graph = graph_of(system, CUTOFF, loop=loop)
    if capacity is not None:
        graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=CUTOFF, loop=loop, capacity=capacity)
    random = torch.Generator().manual_seed(3)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    num_atoms, num_edges, num_pairs = len(system.pos), len(graph.sender), len(graph.pair_distance)
    value, slope = 0.1 * numbers(2, 2 * INTERVALS + 1, 3, channels)
    value[0] = slope[0] = 0
    s = (torch.rand(num_pairs, generator=random, dtype=torch.float64) * 1.1 - 0.05) * INTERVALS
    if capacity is not None:
        s[graph.pair_distance == CUTOFF] = 0
    result = TableGraph(
        graph=graph,
        table=midpoint_table(value, slope),
        s=s,
        x=numbers(9, num_atoms, channels),
        y=numbers(num_edges, 9),
        own=numbers(num_atoms, channels),
        other=numbers(num_atoms, channels),
        grad=numbers(9, num_atoms, channels),
    )
    return result._replace(**{name: part.to(dtype) for name, part in zip(result._fields[1:], result[1:], strict=True)})
