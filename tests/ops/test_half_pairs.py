"""The search for pairs; what it must find is tested through the neighbour graph."""

import torch

from torchmdnet.ops.half_pairs import half_pairs


def test_lists_a_pair_once_whatever_its_direction() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [9.0, 0, 0]])
    found = half_pairs(pos, torch.zeros(3, dtype=torch.int64), num_systems=1, cell=None, periodic=None, cutoff=2.0)
    assert {int(found.i), int(found.j)} == {0, 1}
    assert found.shift is None


def test_lists_one_of_two_opposite_images_of_an_atom() -> None:
    found = half_pairs(
        torch.zeros((1, 3)),
        torch.zeros(1, dtype=torch.int64),
        num_systems=1,
        cell=torch.eye(3)[None] * 2,
        periodic=torch.ones((1, 3), dtype=torch.bool),
        cutoff=2.5,
    )
    assert found.shift is not None
    assert len(found.i) == 3
    assert found.shift.abs().sum(0).tolist() == [1, 1, 1]


def test_takes_in_pairs_just_beyond_the_cutoff_for_the_caller_to_decide() -> None:
    pos = torch.tensor([[0.0, 0, 0], [2.0, 0, 0]])
    batch = torch.zeros(2, dtype=torch.int64)
    found = half_pairs(pos, batch, num_systems=1, cell=None, periodic=None, cutoff=2.0)
    assert len(found.i) == 1
