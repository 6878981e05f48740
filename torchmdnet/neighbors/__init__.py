"""From systems to neighbour lists and graphs: the only place that knows boxes and padding."""

from torchmdnet.neighbors.default_box import DefaultBox
from torchmdnet.neighbors.graphs import neighbor_graph
from torchmdnet.neighbors.neighbor_list import NeighborList, use_skin, use_static_shapes
from torchmdnet.neighbors.optimized_distance import OptimizedDistance
from torchmdnet.neighbors.pairs import NeighborPairs, check_status, neighbor_pairs
from torchmdnet.neighbors.verlet import VerletList

__all__ = [
    "DefaultBox",
    "NeighborList",
    "NeighborPairs",
    "OptimizedDistance",
    "VerletList",
    "check_status",
    "neighbor_graph",
    "neighbor_pairs",
    "use_skin",
    "use_static_shapes",
]
