"""Distances and vectors differentiate twice by positions and cells, and the strain derivative is the measured one."""

import pytest
import torch
from random_systems import box_of, graph_of, make_system, periodic_example, random_system
from torch import Tensor

from torchmdnet.graph import Graph, System

UPPER = 2.8


def pair_energy(graph: Graph) -> Tensor:
    """Something that vanishes smoothly at the cutoff, by way of distances and of vectors."""
    fade = (1 - graph.distance / UPPER).clamp(min=0) ** 3
    fade_once = (1 - graph.pair_distance / UPPER).clamp(min=0) ** 3
    squared = graph.vector.square() @ torch.tensor([0.3, 0.5, 0.7], dtype=graph.vector.dtype)
    return (fade * (1 + squared)).sum() + (fade_once**2).sum()


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True)])
def test_positions_and_cells_have_first_and_second_derivatives(loop: bool, pbc: tuple[bool, bool, bool]) -> None:
    base = periodic_example(num_atoms=4)._replace(pbc=torch.tensor([pbc]))
    count = len(graph_of(base, UPPER, loop=loop).receiver)
    assert count >= 8

    def geometry(pos: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        graph = graph_of(base._replace(pos=pos, box=box), UPPER, loop=loop)
        assert len(graph.receiver) == count
        return graph.vector, graph.distance, graph.pair_distance

    pos, box = base.pos.clone().requires_grad_(), box_of(base).clone().requires_grad_()
    assert torch.autograd.gradcheck(geometry, (pos, box))
    assert torch.autograd.gradgradcheck(geometry, (pos, box))


@pytest.mark.parametrize("shared", [True, False])
def test_the_cells_of_a_batch_have_their_own_derivatives(shared: bool) -> None:
    base = random_system(8, kind="plain", upper=2.0, shares_cell=shared, has_doubles=False)
    assert base.num_systems > 1
    assert len(graph_of(base, 2.0).receiver) > 20

    def lengths(pos: Tensor, box: Tensor) -> Tensor:
        distance = graph_of(base._replace(pos=pos, box=box), 2.0).distance
        return torch.stack([(2.0 - distance).pow(3).sum(), (2.0 - distance).pow(4).sum()])

    pos, box = base.pos.clone().requires_grad_(), box_of(base).clone().requires_grad_()
    assert torch.autograd.gradcheck(lengths, (pos, box))


def test_only_one_of_positions_and_cells_may_want_a_gradient() -> None:
    system = periodic_example()
    pos, box = system.pos.clone().requires_grad_(), box_of(system).clone().requires_grad_()
    both = torch.autograd.grad(pair_energy(graph_of(system._replace(pos=pos, box=box), UPPER)), (pos, box))
    (by_pos,) = torch.autograd.grad(pair_energy(graph_of(system._replace(pos=pos), UPPER)), pos)
    (by_box,) = torch.autograd.grad(pair_energy(graph_of(system._replace(box=box), UPPER)), box)
    torch.testing.assert_close(by_pos, both[0], atol=1e-13, rtol=0)
    torch.testing.assert_close(by_box, both[1], atol=1e-13, rtol=0)


def strained(system: System, strain: Tensor) -> System:
    deformation = torch.eye(3, dtype=torch.float64) + strain
    return system._replace(pos=system.pos @ deformation, box=box_of(system) @ deformation)


@pytest.mark.parametrize("kind", ["plain", "skewed", "thin"])
def test_the_strain_derivative_is_that_of_finite_differences(kind: str) -> None:
    system = random_system(3, kind=kind, upper=UPPER, spread=3.0, has_doubles=False)
    strain = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(pair_energy(graph_of(strained(system, strain), UPPER)), strain)
    assert slope.abs().max() > 0.1
    step = 1e-5
    for a in range(3):
        for b in range(3):
            by = torch.zeros((3, 3), dtype=torch.float64)
            by[a, b] = step
            up, down = (pair_energy(graph_of(strained(system, sign * by), UPPER)) for sign in (1, -1))
            measured = (up - down) / (2 * step)
            torch.testing.assert_close(slope[a, b], measured, atol=1e-6 * float(slope.abs().max()), rtol=1e-6)


def test_float32_derivatives_are_those_of_float64() -> None:
    slopes = []
    for dtype in (torch.float32, torch.float64):
        system = periodic_example(torch.float32)
        pos, box = system.pos.to(dtype).requires_grad_(), box_of(system).to(dtype).requires_grad_()
        slopes.append(torch.autograd.grad(pair_energy(graph_of(system._replace(pos=pos, box=box), UPPER)), (pos, box)))
    for low, high in zip(*slopes, strict=True):
        assert low.dtype == torch.float32
        torch.testing.assert_close(low.double(), high, atol=2e-4, rtol=1e-4)


def test_a_float64_cell_gets_a_float64_gradient_from_float32_positions() -> None:
    system = periodic_example(torch.float32)
    box = box_of(system).double().requires_grad_()
    (slope,) = torch.autograd.grad(pair_energy(graph_of(system._replace(box=box), UPPER)), box)
    assert slope.dtype == torch.float64
    assert slope.any()


def test_moving_all_atoms_together_costs_nothing() -> None:
    system = periodic_example()
    pos = system.pos.clone().requires_grad_()
    (slope,) = torch.autograd.grad(pair_energy(graph_of(system._replace(pos=pos), UPPER)), pos)
    assert slope.abs().max() > 0.1
    torch.testing.assert_close(slope.sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("box", [None, torch.eye(3, dtype=torch.float64)[None] * 2])
def test_atoms_at_one_place_have_zero_derivatives(box: Tensor | None) -> None:
    pos = torch.tensor([[0.0, 0, 0], [0, 0, 0], [50, 50.5, 50]], dtype=torch.float64, requires_grad=True)
    graph = graph_of(make_system(pos, torch.tensor([0, 0, 0]), box), 1.5, loop=True)
    zero = graph.distance == 0
    assert int(zero.sum()) == 5
    for lengths in (graph.distance[zero], graph.pair_distance[graph.pair_distance == 0]):
        (first,) = torch.autograd.grad((lengths + lengths.square()).sum(), pos, create_graph=True)
        assert not first.any()
        (second,) = torch.autograd.grad(first.sum(), pos, allow_unused=True, materialize_grads=True, retain_graph=True)
        assert not second.any()
    (by_vector,) = torch.autograd.grad(graph.vector[zero][:, 0] @ torch.arange(5.0, dtype=torch.float64), pos)
    assert torch.isfinite(by_vector).all()


def test_self_pairs_have_no_derivative() -> None:
    pos = torch.ones((2, 3), dtype=torch.float64, requires_grad=True)
    box = (torch.eye(3, dtype=torch.float64) * 9).requires_grad_()
    graph = graph_of(make_system(pos, torch.tensor([0, 1]), box), loop=True)
    total = graph.vector.sum() + graph.distance.sum() + graph.pair_distance.sum()
    for slope in torch.autograd.grad(total, (pos, box), allow_unused=True, materialize_grads=True):
        assert not slope.any()


def test_no_edges_have_zero_derivatives() -> None:
    for num_atoms in (0, 3):
        pos = torch.arange(3.0 * num_atoms).reshape(-1, 3).requires_grad_()
        box = (torch.eye(3) * 50).requires_grad_()
        graph = graph_of(make_system(pos, box=box), 1.0)
        total = graph.distance.sum() + graph.vector.sum() + graph.pair_distance.sum()
        for slope in torch.autograd.grad(total, (pos, box), allow_unused=True, materialize_grads=True):
            assert not slope.any()


def test_the_callers_tensors_are_left_alone() -> None:
    system = periodic_example()
    pos, box = system.pos.clone(), box_of(system).clone()
    graph = graph_of(system)
    assert torch.equal(system.pos, pos)
    assert torch.equal(box_of(system), box)
    assert not graph.vector.requires_grad
    assert not graph.pair_distance.requires_grad
