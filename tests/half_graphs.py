"""Graphs that have lost edges, which no neighbour list gives."""

import torch

from torchmdnet.graph import Graph


def half_of(graph: Graph, direction: int) -> Graph:
    """Those from higher atoms to lower ones, with -1 from lower to higher ones, and those from an atom to itself."""
    keep = (graph.sender - graph.receiver) * direction >= 0
    keep &= torch.arange(len(keep)) < graph.row_ptr[-1]
    counts = torch.bincount(graph.receiver[keep], minlength=len(graph.row_ptr) - 1)
    row_ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
    per_edge = {name: getattr(graph, name)[keep] for name in graph._fields if name not in ("row_ptr", "pair_distance")}
    return graph._replace(row_ptr=row_ptr, **per_edge)
