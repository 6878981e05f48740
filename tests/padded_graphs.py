"""Graphs with padding, as a neighbour list of fixed capacity makes them."""

import pytest
import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import NeighborList


def padded(graph: Graph, num: int, *, cutoff: float) -> Graph:
    """The same graph with a number of edges at the end that belong to no atom."""

    def extended(values: Tensor, fill: Tensor | float, rows: int = num) -> Tensor:
        return torch.cat([values, (values.new_zeros((rows, *values.shape[1:])) + fill).to(values.dtype)])

    last = len(graph.row_ptr) - 2
    return graph._replace(
        receiver=extended(graph.receiver, last),
        sender=extended(graph.sender, last),
        shift=extended(graph.shift, 0),
        vector=extended(graph.vector, graph.vector.new_tensor([cutoff, 0.0, 0.0])),
        distance=extended(graph.distance, cutoff),
        pair=extended(graph.pair, len(graph.pair_distance)),
        pair_distance=extended(graph.pair_distance, cutoff, rows=1),
    )


def pad_neighbor_lists(model: nn.Module, monkeypatch: pytest.MonkeyPatch, *, num: int = 7) -> int:
    """Let every neighbour list of a model add padding to its graphs; returns how many lists there are."""
    lists = [module for module in model.modules() if isinstance(module, NeighborList)]
    for module in lists:

        def forward(system: System, original: NeighborList = module) -> Graph:
            graph: Graph = type(original).forward(original, system)
            return padded(graph, num, cutoff=original.cutoff_upper)

        monkeypatch.setattr(module, "forward", forward)
    return len(lists)
