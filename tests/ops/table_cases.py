"""Tables, coordinates and a small periodic graph for the ops that read weights from a table."""

from typing import NamedTuple

import torch
from padded_graphs import padded
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops.radial_table import midpoint_table

INTERVALS = 6


class TableCase(NamedTuple):
    """What the ops read, but for the atoms' features."""

    graph: Graph
    table: Tensor
    s: Tensor


def edge_arguments(graph: Graph) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Arrays of a graph as the bare ops take them."""
    return graph.receiver, graph.sender, graph.row_ptr, graph.pair


def make_table_case(
    num_atoms: int = 7,
    channels: int = 5,
    dtype: torch.dtype = torch.float64,
    *,
    loop: bool = True,
    cutoff: float = 2.5,
    intervals: int = INTERVALS,
) -> TableCase:
    """A crystal so small that atoms see their own images; some coordinates lie outside the table.

    As in a model, the functions and their slopes are zero at coordinate 0, the cutoff.
    """
    random = torch.Generator().manual_seed(num_atoms)
    system = System(
        z=torch.ones(num_atoms, dtype=torch.int64),
        pos=torch.rand((num_atoms, 3), generator=random, dtype=torch.float64).to(dtype) * 2,
        batch=torch.zeros(num_atoms, dtype=torch.int64),
        num_systems=1,
        box=torch.eye(3, dtype=dtype)[None] * 2.2,
    )
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=cutoff, loop=loop)
    # The coefficients of the polynomials are up to fifty times the numbers that they pass through.
    value, slope = 0.1 * torch.randn((2, 2 * intervals + 1, 3, channels), generator=random, dtype=torch.float64)
    value[0] = slope[0] = 0
    s = torch.rand(len(graph.pair_distance), generator=random, dtype=torch.float64) * (intervals + 0.6) - 0.3
    return TableCase(graph, midpoint_table(value, slope).to(dtype), s.to(dtype))


def padded_case(case: TableCase, *, s: float = 0.0) -> TableCase:
    """The same with five edges of padding at a coordinate."""
    longer = padded(case.graph, 5, cutoff=2.5)
    return TableCase(longer, case.table, torch.cat([case.s, case.s.new_tensor([s])]))


def features(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random numbers."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
