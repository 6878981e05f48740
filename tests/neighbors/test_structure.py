"""The parts of a neighbour graph fit together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sums import edges_of
from random_systems import CELLS, dense_system, graph_of, periodic_example, random_system

from torchmdnet.graph import Graph, System


def reverse_of(graph: Graph) -> np.ndarray:
    """Number of the edge (j, i, -s) of each edge (i, j, s). (E,)"""
    there = np.concatenate([graph.receiver[:, None], graph.sender[:, None], graph.shift], axis=1)
    back = np.concatenate([graph.sender[:, None], graph.receiver[:, None], -graph.shift], axis=1)
    order, order_back = np.lexsort(there.T), np.lexsort(back.T)
    np.testing.assert_array_equal(there[order], back[order_back])
    reverse = np.empty(len(there), dtype=np.int64)
    reverse[order_back] = order
    return reverse


def assert_parts_fit(system: System, graph: Graph, *, loop: bool) -> None:
    num_atoms, num_edges = len(system.pos), len(graph.receiver)
    rows = np.repeat(np.arange(num_atoms), np.diff(graph.row_ptr.numpy()))
    np.testing.assert_array_equal(graph.receiver.numpy(), rows)
    assert graph.row_ptr.shape == (num_atoms + 1,)
    assert int(graph.row_ptr[0]) == 0
    assert int(graph.row_ptr[-1]) == num_edges
    assert torch.equal(graph.distance, graph.pair_distance[graph.pair.long()])
    reverse = torch.as_tensor(reverse_of(graph))
    assert torch.equal(graph.vector[reverse], -graph.vector)
    assert torch.equal(graph.distance[reverse], graph.distance)
    assert torch.equal(graph.pair[reverse], graph.pair)
    own = reverse == torch.arange(num_edges)
    assert int(own.sum()) == (num_atoms if loop else 0)
    assert not graph.vector[own].any()
    assert not graph.distance[own].any()
    assert len(graph.pair[own].unique()) <= 1
    if num_edges:
        uses = torch.bincount(graph.pair[~own].long(), minlength=len(graph.pair_distance)).tolist()
        assert sorted(uses) == [0] * loop + [2] * ((num_edges - int(own.sum())) // 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["open", *CELLS])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), lower=st.sampled_from([0.0, 1.0]), loop=st.booleans(), is_partial=st.booleans())
def test_an_edge_and_its_reverse_are_one_pair(
    kind: str, seed: int, lower: float, loop: bool, is_partial: bool, dtype: torch.dtype
) -> None:
    system = random_system(seed, kind=kind, upper=2.5, spread=4.0, is_partial=is_partial, dtype=dtype)
    assert_parts_fit(system, graph_of(system, 2.5, lower, loop), loop=loop)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("loop", [True, False])
def test_an_edge_and_its_reverse_are_one_pair_where_there_are_many_atoms(dtype: torch.dtype, loop: bool) -> None:
    system = dense_system(1, 1200, density=1.5, pbc=(True, True, True), dtype=dtype)
    assert_parts_fit(system, graph_of(system, 2.6, loop=loop), loop=loop)


@pytest.mark.parametrize("distance", [2.0, 1.0])
def test_a_pair_at_a_cutoff_is_listed_from_both_ends_or_from_none(distance: float) -> None:
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(200, 3))
    direction *= distance / np.linalg.norm(direction, axis=1, keepdims=True)
    first = rng.uniform(-2, 2, size=(200, 3))
    pos = torch.as_tensor(np.concatenate([first, first + direction]), dtype=torch.float32)
    system = periodic_example(torch.float32)
    system = System(torch.ones(400), pos, torch.arange(200).repeat(2), 200, box=system.box)
    graph = graph_of(system, 2.0, 1.0)
    reverse_of(graph)
    assert len(graph.receiver)


@pytest.mark.parametrize("loop", [True, False])
def test_a_vector_is_the_difference_of_positions_less_the_translation(loop: bool) -> None:
    system = random_system(11, kind="plain", upper=3.0, spread=4.0)
    graph = graph_of(system, loop=loop)
    assert system.box is not None
    receiver, sender = graph.receiver.long(), graph.sender.long()
    translation = torch.einsum("ek,ekx->ex", graph.shift.double(), system.box[system.batch[receiver]])
    vector = system.pos[receiver] - system.pos[sender] - translation
    torch.testing.assert_close(graph.vector, vector, atol=1e-12, rtol=0)
    torch.testing.assert_close(graph.distance, vector.norm(dim=1), atol=1e-12, rtol=0)


def test_self_pairs_share_one_row_of_distance_zero() -> None:
    graph = graph_of(periodic_example(), lower=1.0, loop=True)
    own = (graph.receiver == graph.sender) & (graph.shift == 0).all(1)
    assert int(own.sum()) == 12
    assert graph.pair[own].unique().numel() == 1
    assert not graph.vector[own].any()
    assert graph.pair_distance[graph.pair[own][0].long()] == 0
    assert graph.distance[~own].min() >= 1.0


def test_no_two_edges_are_the_same() -> None:
    system = random_system(0, kind="tiny", upper=4.0)
    key = edges_of(graph_of(system, 4.0, loop=True)).key
    assert len(np.unique(key, axis=0)) == len(key) > 1000
