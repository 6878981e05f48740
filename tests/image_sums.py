"""The neighbours of every atom by trying every image of every other: NumPy, float64, no bins, no wrapping, no torch.

An image s of a pair is s = n + t, with n the nearest whole numbers to the fractional coordinates of the separation.
With the dual vectors c*: :math:`|c_k^* \\cdot v| \\le |c_k^*| \\, u`, so |t_k| cannot exceed :math:`|c_k^*| u + 1/2`.
"""

from typing import NamedTuple

import numpy as np

from torchmdnet.graph import Graph, System

AT_ONCE = 1 << 20
"""Pairs times images that are tried at once."""


class Edges(NamedTuple):
    """Directed pairs, sorted by i, j and shift."""

    key: np.ndarray
    """i, j and the shift of j. (E, 5) int64"""
    vector: np.ndarray
    """pos[i] - pos[j] - shift @ box. (E, 3) float64"""
    distance: np.ndarray
    """(E,) float64"""


def images(cell: np.ndarray, periodic: np.ndarray, cutoff: float) -> np.ndarray:
    """All t that any pair could need. (T, 3) int64"""
    reach = np.zeros(3, dtype=np.int64)
    axes = np.flatnonzero(periodic)
    if len(axes):
        reach[axes] = np.floor(np.linalg.norm(np.linalg.pinv(cell[axes]), axis=0) * cutoff * (1 + 1e-9) + 0.5)
    return np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)


def crystal_edges(pos: np.ndarray, cell: np.ndarray, periodic: np.ndarray, lower: float, upper: float) -> Edges:
    """All images of all pairs of one system with lower <= distance < upper, but the atom itself."""
    num, axes = len(pos), np.flatnonzero(periodic)
    separation = (pos[:, None] - pos[None]).reshape(-1, 3)
    nearest = np.zeros((num * num, 3), dtype=np.int64)
    if len(axes):
        nearest[:, axes] = np.rint(separation @ np.linalg.pinv(cell[axes]))
    start, rows, shifts = separation - nearest @ cell, [], []
    tried = images(cell, periodic, upper)
    chunk = max(1, AT_ONCE // max(1, num * num))
    for first in range(0, len(tried), chunk):
        some = tried[first : first + chunk]
        squared = np.zeros((num * num, len(some)))
        for x in range(3):
            squared += np.square(start[:, x, None] - some @ cell[:, x])
        row, column = np.nonzero(squared < (upper * (1 + 1e-9)) ** 2)
        rows.append(row)
        shifts.append(nearest[row] + some[column])
    row, shift = np.concatenate(rows), np.concatenate(shifts)
    vector = separation[row] - shift @ cell
    distance = np.linalg.norm(vector, axis=1)
    is_self = (row // num == row % num) & ~shift.any(axis=1)
    kept = (distance >= lower) & (distance < upper) & ~is_self
    key = np.column_stack([row // num, row % num, shift])[kept]
    return Edges(key, vector[kept], distance[kept])


def expected_edges(system: System, lower: float, upper: float, *, loop: bool = False) -> Edges:
    """The neighbours that a batch of systems has."""
    pos, batch = system.pos.detach().double().numpy(), system.batch.numpy()
    num = system.num_systems
    box = np.zeros((num, 3, 3))
    if system.box is not None:
        # What the search sees is the cell in the dtype of the positions.
        box[:] = system.box.detach().to(system.pos.dtype).double().numpy()
    periodic = np.repeat(box.any(axis=(1, 2))[:, None], 3, axis=1)
    if system.pbc is not None:
        periodic[:] = system.pbc.numpy()
    parts = [Edges(np.zeros((0, 5), dtype=np.int64), np.zeros((0, 3)), np.zeros(0))]
    for number in range(num):
        atoms = np.flatnonzero(batch == number)
        if len(atoms):
            found = crystal_edges(pos[atoms], box[number], periodic[number], lower, upper)
            found.key[:, :2] = atoms[found.key[:, :2]]
            parts.append(found)
    if loop:
        own = np.arange(len(pos))
        parts.append(Edges(own[:, None] * [1, 1, 0, 0, 0], np.zeros((len(pos), 3)), np.zeros(len(pos))))
    return sort_edges(Edges(*(np.concatenate(values) for values in zip(*parts, strict=True))))


def edges_of(graph: Graph) -> Edges:
    """The same of a graph."""
    columns = (graph.receiver[:, None], graph.sender[:, None], graph.shift)
    key = np.concatenate([column.numpy().astype(np.int64) for column in columns], axis=1)
    vector, distance = graph.vector.detach().double().numpy(), graph.distance.detach().double().numpy()
    return sort_edges(Edges(key, vector, distance))


def sort_edges(edges: Edges) -> Edges:
    """By i, then j, then shift."""
    order = np.lexsort(edges.key.T[::-1])
    return Edges(*(value[order] for value in edges))


def keys(edges: Edges, like: np.ndarray) -> np.ndarray:
    """One integer for each edge, unique among all edges whose numbers are within those of ``like``. (E,)"""
    low, high = like.min(axis=0, initial=0), like.max(axis=0, initial=0)
    radix = [int(value) for value in high - low + 1]
    assert np.prod(radix, dtype=float) < 2**62
    return np.ravel_multi_index(tuple((edges.key - low).T), radix)


def assert_same_edges(
    found: Edges, system: System, lower: float, upper: float, *, loop: bool = False, tolerance: float = 1e-9
) -> None:
    """Compare with the explicit sum; only pairs as near to a cutoff as ``tolerance`` may be in or out."""
    inner = lower - tolerance if lower > 0 else 0.0
    possible = expected_edges(system, inner, upper + tolerance, loop=loop)
    certain = (possible.distance < upper - tolerance) & ((possible.distance >= lower + tolerance) | (lower == 0))
    if loop:
        certain |= (possible.key[:, 0] == possible.key[:, 1]) & ~possible.key[:, 2:].any(axis=1)
    both = np.concatenate([found.key, possible.key])
    number, allowed = keys(found, both), keys(possible, both)
    repeated = found.key[1:][number[1:] == number[:-1]]
    assert not len(repeated), f"{len(repeated)} edges are listed twice, among them {repeated[:5].tolist()}"
    surplus = found.key[~np.isin(number, allowed)]
    assert not len(surplus), f"{len(surplus)} edges are no neighbours, among them {surplus[:5].tolist()}"
    missing = possible.key[certain & ~np.isin(allowed, number)]
    assert not len(missing), f"{len(missing)} of {len(possible.key)} edges are missing: {missing[:5].tolist()}"
    known = np.searchsorted(allowed, number)
    np.testing.assert_allclose(found.vector, possible.vector[known], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.distance, possible.distance[known], rtol=0, atol=tolerance)
