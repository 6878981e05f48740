"""The two records that travel through the package: a batch of atomic systems and its neighbour graph.

Letters in shapes: N atoms, B systems, E directed edges, P distinct pair distances.
"""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Graph", "System"]


class System(NamedTuple):
    """Atoms of one or several systems, concatenated.

    Lengths are in the unit of the model (Å for every model trained by this package's data sets).
    """

    z: Tensor
    """Atomic numbers. (N,) int64"""
    pos: Tensor
    """Positions. (N, 3)"""
    batch: Tensor
    """System of each atom; any order, gaps allowed. (N,) int64"""
    num_systems: int
    """B, known without reading ``batch``."""
    box: Tensor | None = None
    """Cell vectors a, b, c as rows, one cell a system. (B, 3, 3)"""
    pbc: Tensor | None = None
    """Whether a, b, c are periodic; None with a box means all three. (B, 3) bool"""
    q: Tensor | None = None
    """Total charge of each system, in e. (B,)"""
    s: Tensor | None = None
    """Spin of each system. (B,)"""


class Graph(NamedTuple):
    """Directed neighbour pairs, sorted by receiver.

    ``receiver[e]`` is the centre i and ``sender[e]`` the neighbour j of edge e;
    ``vector = pos[i] - pos[j] - shift @ box``. An edge (i, j, shift) and its reverse (j, i, -shift) share one entry
    of ``pair_distance``, and so do all self pairs (i, i, 0): what depends on the distance alone is computed on P rows
    and spread to E edges by ``pair``.

    The last edges may be padding, which gives arrays a fixed length: those after ``row_ptr[N]`` belong to no atom.
    Their ``receiver`` and ``sender`` are the last atom, their ``shift`` is zero, their ``vector`` is (u, 0, 0) and
    their ``distance``, in the last row of ``pair_distance``, is u, the cutoff. What a model reads from an edge is zero
    at the cutoff, so that padding adds nothing.
    """

    receiver: Tensor
    """Centre i, ascending. (E,) int32"""
    sender: Tensor
    """Neighbour j. (E,) int32"""
    row_ptr: Tensor
    """Edges of atom i are ``row_ptr[i]:row_ptr[i + 1]``. (N + 1,) int32"""
    shift: Tensor
    """Cell translation of the sender in multiples of a, b, c. (E, 3) int32"""
    vector: Tensor
    """From neighbour to centre. (E, 3)"""
    distance: Tensor
    """Length of ``vector``. (E,)"""
    pair: Tensor
    """Row of each edge among the distinct distances. (E,) int32"""
    pair_distance: Tensor
    """``distance == pair_distance[pair]``. (P,)"""
