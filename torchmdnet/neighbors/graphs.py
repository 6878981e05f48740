"""The neighbour graph that models read.

Letters in shapes: N atoms, B systems, E directed edges, P distinct pair distances.
"""

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors.pairs import NeighborPairs, neighbor_pairs
from torchmdnet.ops.distinct_pairs import distinct_pairs
from torchmdnet.ops.pair_distances import pair_distances

__all__ = ["graph_of_pairs", "neighbor_graph", "system_pairs"]


def neighbor_graph(
    system: System, *, cutoff_lower: float, cutoff_upper: float, loop: bool, capacity: int | None = None
) -> Graph:
    r"""List all neighbours with :math:`l \le |v| < u`, :math:`v = r_i - r_j - s\,\mathrm{box}`, l and u the cutoffs.

    A system whose cell is all zeros, and an axis that ``system.pbc`` says is open, is not periodic. With ``loop``, each
    atom has one edge to itself with v = 0, whatever the lower cutoff. ``vector``, ``distance`` and ``pair_distance``
    differentiate twice through positions and cells; pairs of length zero contribute no gradient. The search itself is
    not part of the gradient. See :func:`torchmdnet.neighbors.neighbor_pairs` for ``capacity`` and for what is raised.
    """
    pairs = system_pairs(system, cutoff_lower=cutoff_lower, cutoff_upper=cutoff_upper, loop=loop, capacity=capacity)
    return graph_of_pairs(pairs, loop=loop, padded=capacity is not None, has_box=system.box is not None)


def system_pairs(
    system: System, *, cutoff_lower: float = 0.0, cutoff_upper: float, loop: bool, capacity: int | None = None
) -> NeighborPairs:
    """List the pairs of a system; see :func:`torchmdnet.neighbors.neighbor_pairs`."""
    return neighbor_pairs(
        system.pos,
        system.batch,
        cutoff_upper=cutoff_upper,
        cutoff_lower=cutoff_lower,
        box=system.box,
        pbc=system.pbc,
        num_systems=system.num_systems,
        loop=loop,
        capacity=capacity,
    )


def graph_of_pairs(pairs: NeighborPairs, *, loop: bool, padded: bool, has_box: bool) -> Graph:
    """Say of a list with both directions of each pair which edges belong together."""
    first, pair = distinct_pairs(pairs.sender, pairs.shift, pairs.row_ptr, loop, padded)
    shift = pairs.shift if has_box else pairs.shift.new_zeros((1, 3)).expand(pairs.distance.shape[0], 3)
    return Graph(
        receiver=pairs.receiver,
        sender=pairs.sender,
        row_ptr=pairs.row_ptr,
        shift=shift,
        vector=pairs.vector,
        distance=pairs.distance,
        pair=pair,
        pair_distance=pair_distances(pairs.distance, first, pair),
    )
