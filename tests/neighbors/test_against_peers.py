"""The neighbour graph is what other programs find."""

from collections.abc import Callable

import ase
import ase.neighborlist
import numpy as np
import pytest
import torch
import vesin
from image_sums import edges_of
from random_systems import box_of, dense_system, graph_of, make_system, periodic_example

from torchmdnet.graph import System

Search = Callable[[np.ndarray, np.ndarray, np.ndarray, float], tuple[np.ndarray, ...]]
"""(pos, cell, periodic axes, cutoff) to i, j, shift and the vectors from i to the image of j."""


def find_with_vesin(pos: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[np.ndarray, ...]:
    search = vesin.NeighborList(cutoff=cutoff, full_list=True)
    found: tuple[np.ndarray, ...] = search.compute(points=pos, box=cell, periodic=pbc, quantities="ijSD")
    return found


def find_with_ase(pos: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[np.ndarray, ...]:
    found: tuple[np.ndarray, ...] = ase.neighborlist.primitive_neighbor_list("ijSD", pbc, cell, pos, cutoff)
    return found


def find_with_matscipy(pos: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[np.ndarray, ...]:
    matscipy = pytest.importorskip("matscipy.neighbours", reason="matscipy is not installed")
    atoms = ase.Atoms(numbers=[1] * len(pos), positions=pos, cell=cell, pbc=pbc)
    found: tuple[np.ndarray, ...] = matscipy.neighbour_list("ijSD", atoms, cutoff)
    return found


PEERS: dict[str, Search] = {"vesin": find_with_vesin, "ase": find_with_ase, "matscipy": find_with_matscipy}


def assert_same_as(peer: Search, system: System, cutoff: float) -> None:
    pbc = np.ones(3, dtype=bool) if system.pbc is None else system.pbc[0].numpy()
    i, j, shift, vector = peer(system.pos.numpy(), box_of(system)[0].numpy(), pbc, cutoff)
    expected = np.column_stack([i, j, shift]).astype(np.int64)
    order = np.lexsort(expected.T[::-1])
    found = edges_of(graph_of(system, cutoff))
    assert len(found.key) > 0
    np.testing.assert_array_equal(found.key, expected[order])
    # Theirs point from the atom to its neighbour.
    np.testing.assert_allclose(found.vector, -vector[order], rtol=0, atol=1e-10)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("num_atoms", [90, 700])
@pytest.mark.parametrize("pbc", [(False, False, False), (True, True, True), (True, False, True), (False, False, True)])
def test_finds_what_it_finds_in_triclinic_boxes(peer: str, num_atoms: int, pbc: tuple[bool, bool, bool]) -> None:
    assert_same_as(PEERS[peer], dense_system(num_atoms, num_atoms, density=0.1, pbc=pbc), 4.0)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("cutoff", [3.0, 6.0, 9.0])
def test_finds_what_it_finds_in_cells_thinner_than_the_cutoff(peer: str, cutoff: float) -> None:
    assert_same_as(PEERS[peer], periodic_example(), cutoff)


@pytest.mark.parametrize("peer", PEERS)
def test_finds_what_it_finds_in_cells_thinner_than_an_atom(peer: str) -> None:
    box = torch.tensor([[0.9, 0.1, 0.0], [0.4, -1.1, 0.3], [3.0, 2.0, 7.0]], dtype=torch.float64)
    pos = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.1, 3.0]], dtype=torch.float64)
    assert_same_as(PEERS[peer], make_system(pos, box=box[None]), 4.0)


@pytest.mark.parametrize("peer", PEERS)
def test_finds_what_it_finds_where_many_atoms_are_near(peer: str) -> None:
    assert_same_as(PEERS[peer], dense_system(6, 600, density=1.0, pbc=(True, True, True)), 3.0)
