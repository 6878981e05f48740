"""The module searches with its cutoffs and, for systems that bring none, its cell."""

import pytest
import torch
from random_systems import graph_of, make_system, periodic_example

from torchmdnet.neighbors import NeighborList


@pytest.mark.parametrize("loop", [True, False])
def test_the_module_finds_what_the_function_finds(loop: bool) -> None:
    system = periodic_example()
    for a, b in zip(NeighborList(0.5, 3.0, loop=loop)(system), graph_of(system, 3.0, 0.5, loop), strict=True):
        assert torch.equal(a, b)


def test_the_default_box_serves_systems_without_one() -> None:
    neighbors = NeighborList(0.0, 2.5, loop=False, box=torch.eye(3) * 2)
    assert list(neighbors.state_dict()) == ["box"]
    assert len(neighbors(make_system(torch.zeros((1, 3)))).receiver) == 6
    assert len(neighbors(make_system(torch.zeros((1, 3)), box=torch.eye(3)[None] * 9)).receiver) == 0


def test_the_default_box_comes_back_with_the_state() -> None:
    state = NeighborList(0.0, 2.5, loop=False, box=torch.eye(3) * 2).state_dict()
    other = NeighborList(0.0, 2.5, loop=False)
    other.load_state_dict(state)
    assert len(other(make_system(torch.zeros((1, 3)))).receiver) == 6


def test_a_default_box_of_zeros_is_none() -> None:
    assert len(NeighborList(0.0, 2.5, loop=False)(make_system(torch.zeros((1, 3)))).receiver) == 0


def test_refuses_a_default_box_of_another_shape() -> None:
    with pytest.raises(ValueError, match="the default box must be a 3 x 3 matrix"):
        NeighborList(0.0, 1.0, loop=False, box=torch.ones(3))


def test_refuses_cutoffs_that_no_distance_satisfies() -> None:
    with pytest.raises(ValueError, match=r"below the upper one, not lower 2\.0 and upper 2\.0"):
        NeighborList(2.0, 2.0, loop=False)


def test_shows_its_cutoffs() -> None:
    assert "cutoff_lower=0.5, cutoff_upper=3.0, loop=True" in repr(NeighborList(0.5, 3.0, loop=True))
