"""Lists whose size depends on the number of atoms alone change no energy, and grow rather than lose a neighbour."""

import copy
import math

import pytest
import torch
from random_systems import graph_of, make_system, periodic_example, random_system
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.models import MODELS
from torchmdnet.neighbors import NeighborList, use_skin, use_static_shapes
from torchmdnet.neighbors.neighbor_list import HEADROOM, SPARE_ROWS

UPPER = 3.0


def static(*, loop: bool = True) -> NeighborList:
    return NeighborList(0.0, UPPER, loop=loop, static_shapes=True)


def spread(system: System, factor: float) -> System:
    """The same atoms without a cell, so many times as far apart."""
    return system._replace(pos=system.pos * factor, box=None)


# What is listed


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_the_neighbours_are_those_of_a_list_of_any_size(kind: str, loop: bool) -> None:
    for seed in range(4):
        system = random_system(seed, kind=kind, upper=UPPER)
        padded, exact = static(loop=loop)(system), graph_of(system, UPPER, loop=loop)
        num = len(exact.distance)
        assert len(padded.distance) >= num
        for field in ("receiver", "sender", "shift", "vector", "distance"):
            assert torch.equal(getattr(padded, field)[:num], getattr(exact, field)), field
        assert torch.equal(padded.row_ptr, exact.row_ptr)
        assert torch.equal(padded.pair_distance[padded.pair.long()], padded.distance)
        assert (padded.distance[num:] == UPPER).all()
        assert padded.pair_distance[-1] == UPPER


def test_the_first_call_leaves_head_room() -> None:
    neighbors, system = static(), periodic_example()
    assert neighbors.edges_per_atom is None
    graph = neighbors(system)
    per_atom = math.ceil(HEADROOM * int(graph.row_ptr[-1]) / 12) + SPARE_ROWS
    assert neighbors.edges_per_atom == per_atom
    assert len(graph.distance) == 12 * per_atom


def test_shapes_stay_when_atoms_move() -> None:
    neighbors, system = static(), periodic_example()
    shapes = [part.shape for part in neighbors(system)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        pos = system.pos + 0.3 * torch.randn((12, 3), generator=generator, dtype=torch.float64)
        assert [part.shape for part in neighbors(system._replace(pos=pos))] == shapes


def test_shapes_follow_the_number_of_atoms() -> None:
    neighbors = static()
    neighbors(periodic_example())
    per_atom = neighbors.edges_per_atom
    assert per_atom is not None
    for num_atoms in (7, 12):
        assert len(neighbors(periodic_example(num_atoms=num_atoms)).distance) == num_atoms * per_atom


def test_a_list_that_became_too_short_grows_and_stays_so() -> None:
    neighbors, system = static(loop=False), periodic_example()
    neighbors(spread(system, 40.0))
    small = neighbors.edges_per_atom
    dense = spread(system, 0.2)
    graph = neighbors(dense)
    assert int(graph.row_ptr[-1]) == 12 * 11
    assert neighbors.edges_per_atom == math.ceil(HEADROOM * 11) + SPARE_ROWS
    assert small == SPARE_ROWS
    assert len(neighbors(spread(system, 40.0)).distance) == len(graph.distance)
    neighbors.check()


def test_a_size_given_by_hand_is_used() -> None:
    neighbors = static()
    neighbors.edges_per_atom = 200
    assert len(neighbors(periodic_example()).distance) == 2400
    assert neighbors.edges_per_atom == 200


def test_one_row_of_padding_is_a_pair_of_its_own() -> None:
    neighbors = static(loop=False)
    neighbors.edges_per_atom = 1
    graph = neighbors(make_system(torch.tensor([[0.0, 0, 0], [1, 0, 0], [9, 0, 0]])))
    assert sorted(graph.distance.tolist()) == [1, 1, UPPER]
    assert graph.pair_distance[graph.pair.long()].tolist() == graph.distance.tolist()


@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_have_padding_only(num_atoms: int) -> None:
    graph = static(loop=False)(make_system(torch.zeros((num_atoms, 3)), num=1))
    assert len(graph.distance) >= 1
    assert (graph.distance == UPPER).all()


def test_what_is_wrong_with_the_atoms_is_said() -> None:
    neighbors, system = static(), periodic_example()
    for _ in range(2):
        with pytest.raises(ValueError, match="the position of atom 0 is NaN or infinite"):
            neighbors(system._replace(pos=system.pos * torch.nan))
        neighbors(system)


def test_a_list_is_copied_after_a_call_that_is_differentiated() -> None:
    neighbors, system = static(), periodic_example()
    neighbors(system._replace(pos=system.pos.clone().requires_grad_()))
    assert copy.deepcopy(neighbors).edges_per_atom == neighbors.edges_per_atom


# What was wrong with the last list


def test_nothing_is_wrong_before_the_first_call_or_after_a_good_one() -> None:
    neighbors = static()
    neighbors.check()
    neighbors(periodic_example())
    neighbors.check()


@pytest.mark.parametrize(("fault", "text"), [(64, "more neighbour pairs than the list has room for"), (1, "NaN")])
def test_a_fault_that_a_replay_left_is_told_with_what_to_set(fault: int, text: str) -> None:
    neighbors = static()
    neighbors(periodic_example())
    assert neighbors._last_status is not None
    neighbors._last_status.copy_(torch.tensor([5000, fault]))
    with pytest.raises(RuntimeError, match=f"{text}.*: found 5000, with room for ") as caught:
        neighbors.check()
    wanted = f"edges_per_atom is {neighbors.edges_per_atom}: set it higher, or to None to have it found at the next"
    assert wanted in str(caught.value)


# In models


@pytest.mark.parametrize("with_box", [False, True])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_energies_and_forces_are_those_of_a_list_of_any_size(name: str, with_box: bool) -> None:
    plain, fixed = small_model(name), small_model(name)
    use_static_shapes(fixed)
    assert fixed.representation_model.distance.static_shapes
    z, pos, batch = two_molecules()
    box = 5 * torch.eye(3, dtype=torch.float64).repeat(2, 1, 1) if with_box else None
    ours = fixed.compute(z, pos, batch, box=box, stress=with_box)
    theirs = plain.compute(z, pos, batch, box=box, stress=with_box)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_the_gradients_of_weights_are_those_of_a_list_of_any_size() -> None:
    z, pos, batch = two_molecules()
    slopes = []
    for is_static in (False, True):
        model = small_model("tensornet").train()
        use_static_shapes(model, enabled=is_static)
        energy, forces = model(z, pos, batch)
        loss: Tensor = energy.square().sum() + forces.square().sum()
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        slopes.append(torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_last_choice_for_a_model_counts() -> None:
    model = small_model("tensornet", prior_model={"ZBL": {"cutoff_distance": 3.0}})
    lists = [module for module in model.modules() if isinstance(module, NeighborList)]
    assert len(lists) == 2
    use_skin(model, skin=0.5)
    use_static_shapes(model)
    assert [(module.skin, module.static_shapes) for module in lists] == [(0.0, True)] * 2
    use_static_shapes(model, enabled=False)
    use_skin(model, skin=0.5)
    assert [(module.skin, module.static_shapes) for module in lists] == [(0.5, False)] * 2
