"""Graphs of several systems, with what attention and sums that read tables take: images, lone atoms, padding."""

from typing import Any, NamedTuple

import torch
from random_systems import graph_of, random_system
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops.radial_table import midpoint_table
from torchmdnet.ops.vector_attention import AttentionInput

INTERVALS = 9
CUTOFF = 2.5


class AttentionGraph(NamedTuple):
    """A graph, and arrays of random numbers for its atoms and edges, in the names of the ops."""

    graph: Graph
    table: Tensor
    s: Tensor
    inputs: AttentionInput
    grad_scalar: Tensor
    grad_vector: Tensor
    num_heads: int

    @property
    def edges(self) -> tuple[Tensor, ...]:
        """Arguments of all the ops."""
        return self.graph.receiver, self.graph.sender, self.graph.row_ptr, self.graph.pair

    def calls(self) -> dict[str, tuple[Any, ...]]:
        """The arguments of each op by its name; a column of the table is that of the sums."""
        attention = (self.table, self.s, *self.inputs, *self.edges, self.num_heads)
        # Of the values, those that the scalars receive.
        values = self.inputs.value[:, : self.inputs.query.shape[1]].contiguous()
        columns = self.table[:, :, :2].contiguous()
        scalars = (columns, self.s, *self.inputs[:2], values, *self.edges, self.num_heads)
        sums = (self.table[:, :, 1].contiguous(), self.s, self.inputs.query, *self.edges)
        return {
            "table_attention": attention,
            "table_attention_backward": (self.grad_scalar, self.grad_vector, *attention),
            "table_scalar_attention": scalars,
            "table_scalar_attention_backward": (self.grad_scalar, *scalars),
            "table_sum": sums,
            "table_sum_backward": (self.grad_scalar, *sums),
        }


def attention_graph(
    kind: str = "plain",
    *,
    channels: int = 6,
    num_heads: int = 2,
    dtype: torch.dtype = torch.float64,
    loop: bool = True,
    capacity: int | None = None,
    system: System | None = None,
) -> AttentionGraph:
    """Some systems of up to 24 atoms of a kind of ``random_systems``; a capacity adds padding.

    Some coordinates lie outside the table. What padding reads is not zero.
    """
    system = random_system(7, kind=kind, upper=CUTOFF, spread=2.0) if system is None else system
    graph = graph_of(system, CUTOFF, loop=loop)
    if capacity is not None:
        graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=CUTOFF, loop=loop, capacity=capacity)
    random = torch.Generator().manual_seed(3)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    num_atoms = len(system.pos)
    # The coefficients of the polynomials are up to fifty times the numbers that they pass through.
    table = midpoint_table(*(0.1 * numbers(2, 2 * INTERVALS + 1, 4, channels).double())).to(dtype)
    shapes = [(num_atoms, channels)] * 2 + [(num_atoms, 3 * channels), (num_atoms, 3, channels)]
    arrays = [numbers(*shape) for shape in shapes]
    length = graph.vector.norm(dim=1, keepdim=True)
    direction = torch.where(length > 0, graph.vector / length, 0.0).to(dtype)
    grads = [numbers(num_atoms, channels), numbers(num_atoms, 3, channels)]
    # A pair's coordinate comes last, so that padding changes none of the numbers.
    s = (torch.rand(len(graph.pair_distance), generator=random, dtype=torch.float64) * 1.1 - 0.05) * INTERVALS
    inputs = AttentionInput(*arrays, direction)  # type: ignore[call-arg]
    return AttentionGraph(graph, table, s.to(dtype), inputs, *grads, num_heads)
