"""The neighbour graph is what trying every image finds, for every kind of cell and batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sums import assert_same_edges, edges_of
from random_systems import CELLS, dense_system, graph_of, make_system, random_system

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""How far rounding may move a distance of some Å, with atoms some tens of Å apart."""


@pytest.mark.parametrize("kind", ["open", *CELLS])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    spread=st.sampled_from([0.5, 1.0, 10.0]),
    cutoffs=st.sampled_from([(0.0, 1.2), (0.0, 2.5), (0.0, 4.0), (0.9, 2.5), (2.0, 4.0)]),
    is_partial=st.booleans(),
    shares_cell=st.booleans(),
    loop=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_finds_what_trying_every_image_finds(
    kind: str,
    seed: int,
    spread: float,
    cutoffs: tuple[float, float],
    is_partial: bool,
    shares_cell: bool,
    loop: bool,
    dtype: torch.dtype,
) -> None:
    lower, upper = cutoffs
    system = random_system(
        seed, kind=kind, upper=upper, spread=spread, is_partial=is_partial, shares_cell=shares_cell, dtype=dtype
    )
    found = edges_of(graph_of(system, upper, lower, loop))
    assert_same_edges(found, system, lower, upper, loop=loop, tolerance=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    num_atoms=st.sampled_from([500, 900, 1300]),
    density=st.sampled_from([0.1, 0.5, 3.0]),
    upper=st.sampled_from([1.5, 2.0, 3.0]),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_finds_them_where_there_are_many_atoms(
    seed: int, num_atoms: int, density: float, upper: float, pbc: tuple[bool, bool, bool], dtype: torch.dtype
) -> None:
    system = dense_system(seed, num_atoms, density=density, pbc=pbc, dtype=dtype)
    found = edges_of(graph_of(system, upper, loop=True))
    assert_same_edges(found, system, 0.0, upper, loop=True, tolerance=TOLERANCE[dtype])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), sizes=st.permutations([0, 0, 1, 3, 30, 800]))
def test_finds_them_in_batches_of_very_different_sizes(seed: int, sizes: list[int]) -> None:
    parts = [dense_system(seed + n, max(size, 1), density=0.8, pbc=(True, True, False)) for n, size in enumerate(sizes)]
    batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    pos = torch.cat([part.pos[:size] for part, size in zip(parts, sizes, strict=True)])
    order = torch.randperm(len(pos), generator=torch.Generator().manual_seed(seed))
    box, pbc = torch.cat([part.box for part in parts]), torch.cat([part.pbc for part in parts])
    system = make_system(pos[order], batch[order], box, pbc, len(sizes))
    assert_same_edges(edges_of(graph_of(system, 2.2, 0.6)), system, 0.6, 2.2)


@pytest.mark.parametrize("pbc", [(a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)])
@pytest.mark.parametrize("num_atoms", [1, 20, 600])
def test_finds_them_on_any_subset_of_periodic_axes(pbc: tuple[bool, bool, bool], num_atoms: int) -> None:
    system = dense_system(num_atoms, num_atoms, density=0.1, pbc=pbc)
    assert_same_edges(edges_of(graph_of(system, 4.0)), system, 0.0, 4.0)


@pytest.mark.parametrize("pbc", [(True, False, False), (False, True, True), (False, False, False)])
def test_the_vectors_of_open_axes_may_be_zeros(pbc: tuple[bool, bool, bool]) -> None:
    system = dense_system(7, 300, density=0.1, pbc=pbc)
    assert system.box is not None
    zeroed = system._replace(box=system.box * torch.tensor(pbc).double()[:, None])
    assert_same_edges(edges_of(graph_of(zeroed, 4.0)), system, 0.0, 4.0)


def test_thousands_of_atoms_at_one_place_are_all_neighbours() -> None:
    graph = graph_of(make_system(torch.ones((1500, 3)) / 3), 1.0)
    assert len(graph.receiver) == 1500 * 1499
    assert not graph.distance.any()


def test_two_clouds_far_apart_are_found() -> None:
    near = torch.rand((400, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 6
    system = make_system(torch.cat([near, near + 1e5]))
    assert_same_edges(edges_of(graph_of(system, 2.0)), system, 0.0, 2.0)


def test_atoms_a_thousand_cells_outside_are_found() -> None:
    system = dense_system(3, 200, density=0.1, pbc=(True, True, True))
    assert system.box is not None
    shift = torch.randint(-1000, 1000, (200, 3), generator=torch.Generator().manual_seed(1)).double()
    far = system._replace(pos=system.pos + shift @ system.box[0])
    assert_same_edges(edges_of(graph_of(far, 4.0)), far, 0.0, 4.0, tolerance=1e-8)


def test_a_chain_of_many_atoms_needs_no_more_bins_than_atoms() -> None:
    pos = torch.zeros((3000, 3), dtype=torch.float64)
    pos[:, 1] = torch.arange(3000) * 1e3
    pos[1:, 1] -= 999.0
    assert edges_of(graph_of(make_system(pos), 1.5)).key.tolist() == [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]


def test_counts_each_image_of_an_atom_in_a_cell_thinner_than_the_cutoff() -> None:
    system = make_system(torch.zeros((1, 3)), box=torch.eye(3)[None] * torch.tensor([1.0, 50.0, 50.0]))
    assert sorted(graph_of(system, 3.5, loop=True).shift[:, 0].tolist()) == [-3, -2, -1, 0, 1, 2, 3]


def test_the_lower_cutoff_is_in_and_the_upper_is_out() -> None:
    system = make_system(torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [3.0, 0, 0]]))
    assert edges_of(graph_of(system, upper=2.0, lower=1.0)).key.tolist() == [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]


@pytest.mark.parametrize("loop", [True, False])
def test_no_atoms_have_no_neighbours(loop: bool) -> None:
    for box in (None, torch.eye(3)[None].repeat(2, 1, 1)):
        graph = graph_of(make_system(torch.zeros((0, 3)), box=box, num=2), loop=loop)
        assert graph.receiver.shape == graph.sender.shape == graph.distance.shape == graph.pair.shape == (0,)
        assert graph.vector.shape == graph.shift.shape == (0, 3)
        assert graph.row_ptr.tolist() == [0]


def test_no_systems_have_no_neighbours() -> None:
    for box in (None, torch.zeros((0, 3, 3))):
        assert graph_of(make_system(torch.zeros((0, 3)), box=box, num=0)).receiver.numel() == 0


def test_atoms_without_neighbours_have_empty_rows() -> None:
    graph = graph_of(make_system(torch.arange(30.0).reshape(10, 3)), 2.0)
    assert graph.vector.shape == graph.shift.shape == (0, 3)
    assert graph.row_ptr.tolist() == [0] * 11


def test_one_atom_has_no_neighbour_but_itself() -> None:
    one = make_system(torch.ones((1, 3)))
    assert edges_of(graph_of(one)).key.tolist() == []
    assert edges_of(graph_of(one, loop=True)).key.tolist() == [[0, 0, 0, 0, 0]]


def test_crystals_and_molecules_share_a_batch() -> None:
    box = torch.stack([torch.zeros(3, 3), torch.eye(3) * 2])
    graph = graph_of(make_system(torch.zeros((2, 3)), torch.tensor([0, 1]), box), 2.5)
    assert graph.receiver.unique().tolist() == [1]
    assert len(graph.receiver) == 6


def test_one_cell_serves_all_systems_of_a_batch() -> None:
    pos, batch = torch.zeros((2, 3)), torch.tensor([0, 1])
    box = torch.eye(3) * 2
    for shape in (box, box[None], box.expand(2, 3, 3)):
        assert len(graph_of(make_system(pos, batch, shape), 2.5).receiver) == 12


def test_a_float64_cell_serves_float32_positions() -> None:
    system = random_system(4, kind="plain", upper=3.0, dtype=torch.float32)
    assert system.box is not None
    graph = graph_of(system._replace(box=system.box.double()))
    assert len(graph.receiver)
    assert graph.vector.dtype == graph.distance.dtype == graph.pair_distance.dtype == torch.float32
