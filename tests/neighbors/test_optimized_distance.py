"""TorchMD-NET's neighbour list: its arguments and the form of its results, as version 3.1.0 has them."""

from typing import Any

import pytest
import torch
from random_systems import make_system
from torch import Tensor

from torchmdnet.neighbors import NeighborPairs, OptimizedDistance, neighbor_pairs
from torchmdnet.ops.neighbor_pairs import OVERFLOW

POS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1.5, 0], [5, 5, 5], [0.5, 0.5, 0.5]])
BATCH = torch.tensor([0, 0, 0, 0, 1])
BOX = 5.5 * torch.eye(3)
LOWER_TRIANGLE = [(1, 0), (2, 0), (2, 1)]
"""Pairs of the first system within 2, frozen from TorchMD-NET 3.1.0."""
EDGES = sorted(LOWER_TRIANGLE + [(j, i) for i, j in LOWER_TRIANGLE])
PERIODIC_EDGES = sorted([*EDGES, (3, 0), (0, 3), (3, 1), (1, 3)])


def run(box: Tensor | None = None, **options: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    result: tuple[Tensor, Tensor, Tensor | None] = OptimizedDistance(cutoff_upper=2.0, **options)(POS, BATCH, box)
    return result


def pairs(edge_index: Tensor) -> list[tuple[int, int]]:
    return sorted((i, j) for i, j in edge_index.T.tolist())


def test_lists_both_directions_of_each_pair_without_vectors() -> None:
    edges, distances, vectors = run()
    assert edges.shape == (2, 6)
    assert edges.dtype == torch.int64
    assert pairs(edges) == EDGES
    torch.testing.assert_close(distances, (POS[edges[0]] - POS[edges[1]]).norm(dim=1))
    assert vectors is None


@pytest.mark.parametrize("include_transpose", [True, False])
@pytest.mark.parametrize("loop", [True, False])
def test_vectors_point_from_the_second_to_the_first(loop: bool, include_transpose: bool) -> None:
    edges, distances, vectors = run(return_vecs=True, loop=loop, include_transpose=include_transpose)
    assert vectors is not None
    torch.testing.assert_close(vectors, POS[edges[0]] - POS[edges[1]])
    torch.testing.assert_close(vectors.norm(dim=1), distances)


def test_half_a_list_has_the_higher_atom_first() -> None:
    assert pairs(run(include_transpose=False)[0]) == LOWER_TRIANGLE


@pytest.mark.parametrize(("include_transpose", "others"), [(True, EDGES), (False, LOWER_TRIANGLE)])
def test_self_pairs_are_listed_once(include_transpose: bool, others: list[tuple[int, int]]) -> None:
    edges, distances, _ = run(include_transpose=include_transpose, loop=True)
    assert pairs(edges) == sorted([*others, *((atom, atom) for atom in range(5))])
    assert not distances[edges[0] == edges[1]].any()


def test_the_lower_cutoff_leaves_self_pairs_in() -> None:
    edges, _, _ = run(cutoff_lower=1.2, loop=True)
    assert pairs(edges) == sorted([(2, 0), (0, 2), (2, 1), (1, 2), *((atom, atom) for atom in range(5))])


@pytest.mark.parametrize(("max_num_pairs", "num_rows"), [(6, 6), (9, 9), (-2, 10)])
def test_a_list_of_fixed_size_ends_with_atoms_minus_one(max_num_pairs: int, num_rows: int) -> None:
    edges, distances, vectors = run(resize_to_fit=False, max_num_pairs=max_num_pairs, return_vecs=True)
    assert vectors is not None
    assert edges.shape == (2, num_rows)
    assert pairs(edges[:, :6]) == EDGES
    assert (edges[:, 6:] == -1).all()
    assert not distances[6:].any()
    assert not vectors[6:].any()


def test_half_a_list_of_fixed_size_ends_with_atoms_minus_one() -> None:
    edges, _, _ = run(resize_to_fit=False, max_num_pairs=4, include_transpose=False)
    assert pairs(edges) == [(-1, -1), *LOWER_TRIANGLE]


def test_padding_has_no_derivative() -> None:
    slopes = []
    for resize_to_fit in (True, False):
        pos = POS.clone().requires_grad_()
        neighbors = OptimizedDistance(0.0, 2.0, 30, return_vecs=True, resize_to_fit=resize_to_fit)
        _, distances, vectors = neighbors(pos, BATCH)
        slopes.append(torch.autograd.grad((distances + 1).square().sum() + vectors[:, 1].exp().sum(), pos)[0])
    torch.testing.assert_close(*slopes)


def test_more_pairs_than_fit_are_an_error_only_where_the_size_is_fixed() -> None:
    with pytest.raises(RuntimeError, match=r"^Found num_pairs > max_num_pairs, please increase max_num_pairs \(now 3"):
        run(resize_to_fit=False, max_num_pairs=3)
    assert pairs(run(max_num_pairs=3)[0]) == EDGES


def test_more_pairs_than_fit_are_an_error_where_the_search_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def like_on_a_gpu(*arguments: Any, capacity: int, **options: Any) -> NeighborPairs:
        pairs = neighbor_pairs(*arguments, capacity=6, **options)
        assert capacity == 3
        return pairs._replace(status=torch.tensor([6, OVERFLOW], dtype=torch.int32))

    monkeypatch.setattr("torchmdnet.neighbors.optimized_distance.neighbor_pairs", like_on_a_gpu)
    with pytest.raises(RuntimeError, match=r"^Found num_pairs > max_num_pairs, .* found 6, with room for 3"):
        run(resize_to_fit=False, max_num_pairs=3)


def test_another_fault_is_not_taken_for_too_many_pairs() -> None:
    far = torch.tensor([[0.0, 0.0, 0.0], [1e12, 0.0, 0.0]])
    with pytest.raises(RuntimeError, match="torchmdnet: an atom is more than 2"):
        OptimizedDistance(cutoff_upper=2.0, resize_to_fit=False)(far, box=BOX)


@pytest.mark.parametrize("resize_to_fit", [True, False])
def test_atoms_are_numbered_by_int32_where_wanted(resize_to_fit: bool) -> None:
    edges, _, _ = run(long_edge_index=False, resize_to_fit=resize_to_fit)
    assert edges.dtype == torch.int32


@pytest.mark.parametrize("strategy", ["brute", "shared", "cell"])
def test_all_strategies_find_the_same(strategy: str) -> None:
    edges, distances, _ = run(strategy=strategy, box=BOX)
    assert pairs(edges) == PERIODIC_EDGES
    nearest = float(distances[(edges[0] == 3) & (edges[1] == 0)])
    assert nearest == pytest.approx(0.75**0.5)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy 'fast' is not known; choose one of brute, shared, cell"):
        OptimizedDistance(strategy="fast")


def test_cutoffs_that_no_distance_satisfies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"below the upper one, not lower 5\.0 and upper 5\.0"):
        OptimizedDistance(cutoff_lower=5.0)


def test_the_box_is_part_of_the_state_and_that_of_the_call_goes_before() -> None:
    neighbors = OptimizedDistance(cutoff_upper=2.0, box=BOX)
    assert {name: tuple(value.shape) for name, value in neighbors.state_dict().items()} == {"box": (3, 3)}
    assert pairs(neighbors(POS, BATCH)[0]) == PERIODIC_EDGES
    assert pairs(neighbors(POS, BATCH, 50 * torch.eye(3))[0]) == EDGES
    other = OptimizedDistance(cutoff_upper=2.0)
    assert not other.box.any()
    other.load_state_dict(neighbors.state_dict())
    assert pairs(other(POS, BATCH)[0]) == PERIODIC_EDGES


def test_each_system_may_have_its_cell() -> None:
    edges, _, _ = run(box=torch.stack([BOX, torch.zeros(3, 3)]))
    assert pairs(edges) == PERIODIC_EDGES


def test_without_a_batch_all_atoms_are_one_system() -> None:
    edges, _, _ = OptimizedDistance(cutoff_upper=2.0)(POS)
    assert pairs(edges) == sorted([*EDGES, *((4, atom) for atom in range(3)), *((atom, 4) for atom in range(3))])


def test_a_half_list_in_a_small_cell_has_the_pairs_of_a_full_one() -> None:
    system = make_system(3 * torch.rand((6, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    box = 3 * torch.eye(3, dtype=torch.float64)
    half = OptimizedDistance(cutoff_upper=2.5, include_transpose=False, return_vecs=True)(system.pos, box=box)
    full = neighbor_pairs(system.pos, cutoff_upper=2.5, box=box)
    edges, distances, vectors = half
    assert (edges[0] >= edges[1]).all()
    assert 2 * len(distances) == len(full.distance)
    torch.testing.assert_close(
        distances.sort().values.repeat_interleave(2), full.distance.sort().values, rtol=0, atol=1e-12
    )
    whole = (system.pos[edges[0]] - system.pos[edges[1]] - vectors) / 3
    torch.testing.assert_close(whole, whole.round(), rtol=0, atol=1e-12)
