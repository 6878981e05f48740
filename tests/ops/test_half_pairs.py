"""The search for pairs in plain PyTorch, which may take in a few too many but misses none."""

import pytest
import torch
from image_sums import expected_edges
from random_systems import periodic_example, random_system

from torchmdnet.ops.half_pairs import HalfPairs, half_pairs
from torchmdnet.ops.lattice import read_lattice


def both_directions(found: HalfPairs) -> set[tuple[int, ...]]:
    """(i, j, shift) and (j, i, -shift) of every pair, none of which is listed twice."""
    shift = torch.zeros((len(found.i), 3), dtype=torch.int64) if found.shift is None else found.shift
    forth = torch.cat([found.i[:, None], found.j[:, None], shift], dim=1)
    back = torch.cat([found.j[:, None], found.i[:, None], -shift], dim=1)
    keys = {tuple(key) for key in torch.cat([forth, back]).tolist()}
    assert len(keys) == 2 * len(found.i)
    return keys


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


@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_finds_all_that_trying_every_image_finds(kind: str) -> None:
    for seed in range(8):
        system = random_system(seed, kind=kind, upper=2.5, spread=4.0)
        lattice = None if system.box is None else read_lattice(system.box, torch.empty((0, 3), dtype=torch.bool))
        found = half_pairs(
            system.pos,
            system.batch,
            num_systems=system.num_systems,
            cell=None if lattice is None else lattice.cell,
            periodic=None if lattice is None else lattice.periodic,
            cutoff=2.5,
        )
        assert both_directions(found) >= {tuple(key) for key in expected_edges(system, 0.0, 2.5).key.tolist()}


def test_a_list_of_chunks_is_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    system = periodic_example()
    cells = {"cell": system.box, "periodic": torch.ones((1, 3), dtype=torch.bool)}

    def found() -> set[tuple[int, ...]]:
        return both_directions(half_pairs(system.pos, system.batch, num_systems=1, cutoff=5.0, **cells))

    whole = found()
    assert len(whole) > 1000
    monkeypatch.setattr("torchmdnet.ops.half_pairs.MAX_AT_ONCE", 50)
    assert found() == whole
