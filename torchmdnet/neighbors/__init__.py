"""From systems to neighbour lists and graphs: the only place that knows boxes and padding."""

from torchmdnet.neighbors.default_box import DefaultBox
from torchmdnet.neighbors.graphs import neighbor_graph
from torchmdnet.neighbors.neighbor_list import NeighborList
from torchmdnet.neighbors.optimized_distance import OptimizedDistance
from torchmdnet.neighbors.pairs import NeighborPairs, neighbor_pairs
from torchmdnet.neighbors.verlet import VerletList

__all__ = [
    "DefaultBox",
    "NeighborList",
    "NeighborPairs",
    "OptimizedDistance",
    "VerletList",
    "neighbor_graph",
    "neighbor_pairs",
]
