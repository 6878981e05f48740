"""The neighbour graph respects what space demands: the same crystal described otherwise has the same neighbours."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from image_sums import edges_of
from random_systems import (
    box_of,
    dense_system,
    graph_of,
    make_system,
    periodic_example,
    random_rotation,
    random_system,
)
from torch import Tensor

from torchmdnet.graph import Graph, System

UPPER = 3.0

EXAMPLES = {
    "small": periodic_example(),
    "slab": dense_system(2, 60, density=0.1, pbc=(True, False, True)),
    "large": dense_system(1, 500, density=0.3, pbc=(True, True, True)),
}


@pytest.fixture(params=EXAMPLES)
def system(request: pytest.FixtureRequest) -> System:
    """Crystals with and without bins."""
    return EXAMPLES[request.param]


def sorted_vectors(graph: Graph) -> list[np.ndarray]:
    """Vectors of each atom's edges in an order that does not know the neighbours' numbers."""
    vectors = np.split(graph.vector.detach().numpy(), graph.row_ptr[1:-1].tolist())
    return [rows[np.lexsort(np.round(rows, 6).T)] for rows in vectors]


def assert_same_surroundings(found: Graph, expected: Graph, turn: np.ndarray | None = None) -> None:
    """Each atom sees neighbours in the same places, those of ``expected`` turned by a rotation."""
    turn = np.eye(3) if turn is None else turn
    expected = expected._replace(vector=expected.vector @ torch.as_tensor(turn))
    assert len(expected.receiver) > 0
    assert torch.equal(found.row_ptr, expected.row_ptr)
    for a, b in zip(sorted_vectors(found), sorted_vectors(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def test_vectors_turn_with_the_crystal(system: System) -> None:
    turn = random_rotation(np.random.default_rng(1))
    turned = system._replace(pos=system.pos @ torch.as_tensor(turn), box=box_of(system) @ torch.as_tensor(turn))
    before, after = graph_of(system, UPPER), graph_of(turned, UPPER)
    np.testing.assert_array_equal(edges_of(after).key, edges_of(before).key)
    assert_same_surroundings(after, before, turn)


def test_nothing_changes_when_all_atoms_move_together(system: System) -> None:
    moved = graph_of(system._replace(pos=system.pos + torch.tensor([1e3, -77.7, 0.123])), UPPER)
    before = graph_of(system, UPPER)
    np.testing.assert_array_equal(edges_of(moved).key, edges_of(before).key)
    assert_same_surroundings(moved, before)


def test_vectors_do_not_change_when_atoms_are_wrapped(system: System) -> None:
    rng = np.random.default_rng(2)
    cells = torch.as_tensor(rng.integers(-3, 4, size=(len(system.pos), 3)))
    if system.pbc is not None:
        cells = cells * system.pbc[0]
    before = graph_of(system, UPPER)
    after = graph_of(system._replace(pos=system.pos + cells.double() @ box_of(system)[0]), UPPER)
    assert_same_surroundings(after, before)
    # pos + n c: what was shift s of j seen from i is now s + n_i - n_j.
    receiver, sender = before.receiver.long(), before.sender.long()
    expected = edges_of(before._replace(shift=before.shift.long() + cells[receiver] - cells[sender]))
    np.testing.assert_array_equal(edges_of(after).key, expected.key)


def test_permuting_atoms_permutes_the_edges(system: System) -> None:
    order = torch.as_tensor(np.random.default_rng(3).permutation(len(system.pos)))
    permuted = edges_of(graph_of(system._replace(pos=system.pos[order]), UPPER)).key
    permuted[:, :2] = order.numpy()[permuted[:, :2]]
    expected = edges_of(graph_of(system, UPPER)).key
    np.testing.assert_array_equal(permuted[np.lexsort(permuted.T[::-1])], expected)


def test_mirroring_all_positions_turns_every_vector_round(system: System) -> None:
    mirrored = graph_of(system._replace(pos=-system.pos), UPPER)
    assert_same_surroundings(mirrored, graph_of(system, UPPER), -np.eye(3))


@pytest.mark.parametrize("repeats", [(2, 1, 3), (1, 4, 1)])
def test_each_copy_in_a_supercell_has_the_neighbours_of_the_original(repeats: tuple[int, int, int]) -> None:
    system = periodic_example()
    box = box_of(system)[0]
    copies = torch.cartesian_prod(*(torch.arange(n).double() for n in repeats)) @ box
    big = make_system((copies[:, None] + system.pos).reshape(-1, 3), box=(torch.tensor(repeats)[:, None] * box)[None])
    one, many = graph_of(system, UPPER), graph_of(big, UPPER)
    rows = sorted_vectors(one)
    assert len(many.receiver) == len(copies) * len(one.receiver)
    for number, row in enumerate(sorted_vectors(many)):
        np.testing.assert_allclose(row, rows[number % len(rows)], rtol=0, atol=1e-10)


UNIMODULAR = [
    [[1, 0, 0], [3, 1, 0], [-2, 5, 1]],
    [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
    [[2, 1, 0], [1, 1, 0], [1, 0, 1]],
]
"""Integer matrices with determinant 1 or -1: other vectors of the same lattice."""


@pytest.mark.parametrize("change", UNIMODULAR)
@pytest.mark.parametrize("name", ["small", "large"])
def test_other_vectors_of_the_same_lattice_give_the_same_neighbours(name: str, change: list[list[int]]) -> None:
    system = EXAMPLES[name]
    matrix = torch.tensor(change, dtype=torch.float64)
    assert abs(torch.linalg.det(matrix).abs() - 1) < 1e-12
    other = system._replace(box=matrix @ box_of(system))
    assert_same_surroundings(graph_of(other, UPPER), graph_of(system, UPPER))


def singles(system: System) -> Iterator[tuple[Tensor, System]]:
    """Each system of a batch alone, with the numbers of its atoms."""
    for number in range(system.num_systems):
        atoms = (system.batch == number).nonzero().squeeze(1)
        box = None if system.box is None else system.box[number : number + 1]
        pbc = None if system.pbc is None else system.pbc[number : number + 1]
        yield atoms, make_system(system.pos[atoms], box=box, pbc=pbc, num=1)


@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
@pytest.mark.parametrize("is_partial", [False, True])
def test_a_batch_is_its_systems_side_by_side(kind: str, is_partial: bool) -> None:
    total = 0
    for seed in range(6):
        system = random_system(seed, kind=kind, upper=UPPER, is_partial=is_partial and kind != "open")
        parts = []
        for atoms, single in singles(system):
            key = edges_of(graph_of(single, UPPER, 0.5, True)).key
            key[:, :2] = atoms.numpy()[key[:, :2]]
            parts.append(key)
        expected = np.concatenate(parts)
        total += len(expected)
        expected = expected[np.lexsort(expected.T[::-1])]
        np.testing.assert_array_equal(edges_of(graph_of(system, UPPER, 0.5, True)).key, expected)
    assert total > 100


def test_numbers_of_systems_without_atoms_change_nothing(system: System) -> None:
    box, pbc = box_of(system), system.pbc
    sparse = system._replace(
        batch=system.batch + 2,
        num_systems=5,
        box=torch.cat([box * 9, torch.zeros_like(box), box, box, box]),
        pbc=None if pbc is None else pbc.new_tensor([[1, 0, 1], [0, 0, 0], *[pbc[0].tolist()] * 3]),
    )
    np.testing.assert_array_equal(edges_of(graph_of(sparse, UPPER)).key, edges_of(graph_of(system, UPPER)).key)


def test_cells_in_other_memory_layouts_are_read_right(system: System) -> None:
    strided = system._replace(
        pos=system.pos.T.contiguous().T,
        batch=system.batch.repeat_interleave(2)[::2],
        box=box_of(system).mT.contiguous().mT,
        pbc=None if system.pbc is None else system.pbc.T.contiguous().T,
    )
    for a, b in zip(graph_of(strided, UPPER), graph_of(system, UPPER), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Run on two threads, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threaded_examples() -> list[System]:
    """Enough atoms in one system, and enough systems, to be worth sharing out."""
    large = dense_system(5, 4000, density=0.1, pbc=(True, True, True), dtype=torch.float32)
    pos = torch.rand((64 * 24, 3), generator=torch.Generator().manual_seed(0)) * 6
    return [large, make_system(pos, torch.arange(64).repeat_interleave(24))]


@pytest.fixture
def single_thread_graphs() -> list[Graph]:
    """What one thread finds."""
    assert torch.get_num_threads() == 1
    return [graph_of(system, 4.0, loop=True) for system in threaded_examples()]


def test_two_threads_give_the_same_bits_as_one(single_thread_graphs: list[Graph], two_threads: None) -> None:
    for system, expected in zip(threaded_examples(), single_thread_graphs, strict=True):
        for _ in range(3):
            for a, b in zip(graph_of(system, 4.0, loop=True), expected, strict=True):
                assert torch.equal(a, b)


def test_the_same_input_gives_the_same_bits(system: System) -> None:
    for a, b in zip(graph_of(system, UPPER), graph_of(system, UPPER), strict=True):
        assert torch.equal(a, b)
