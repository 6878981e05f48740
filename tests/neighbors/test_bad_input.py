"""What cannot be searched is refused, with what was given and what is wanted."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from random_systems import dense_system, graph_of, make_system
from torch import Tensor

from torchmdnet.neighbors import neighbor_pairs

EYE = torch.eye(3)[None]
FLAT = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]])
NEARLY_FLAT = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 1, 1e-8]]])
PERIODIC = torch.tensor([[True] * 3])


def position(value: float) -> Tensor:
    return torch.tensor([[0.0, 0, 0], [0, value, 0]])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"pos": position(torch.nan)}, ValueError, r"the position of atom 1 is NaN or infinite: \[0.0, nan, 0.0\]"),
        ({"pos": position(torch.inf)}, ValueError, r"the position of atom 1 is NaN or infinite: \[0.0, inf, 0.0\]"),
        ({"pos": position(-torch.inf), "box": EYE}, ValueError, "the position of atom 1 is NaN or infinite"),
        ({"pos": position(torch.nan).double(), "box": EYE}, ValueError, "the position of atom 1 is NaN or infinite"),
        ({"pos": torch.zeros((2, 3), dtype=torch.int64)}, TypeError, "positions must be .*, not torch.int64"),
        ({"pos": torch.zeros((2, 3), dtype=torch.complex64)}, TypeError, "positions must be .*, not torch.complex64"),
        ({"pos": torch.zeros((2, 2))}, ValueError, r"want pos \(N, 3\) and batch \(N,\), not \(2, 2\) and \(2,\)"),
        ({"pos": torch.zeros(6)}, ValueError, r"want pos \(N, 3\) and batch \(N,\), not \(6,\) and \(2,\)"),
        ({"pos": torch.zeros((3, 3))}, ValueError, r"not \(3, 3\) and \(2,\)"),
        ({"batch": torch.zeros(3, dtype=torch.int64)}, ValueError, r"not \(2, 3\) and \(3,\)"),
        ({"batch": torch.zeros((2, 1), dtype=torch.int64)}, ValueError, r"not \(2, 3\) and \(2, 1\)"),
        ({"batch": torch.zeros(2)}, TypeError, "batch must be int64, not torch.float32"),
        ({"batch": torch.zeros(2, dtype=torch.bool)}, TypeError, "batch must be int64, not torch.bool"),
        ({"batch": torch.tensor([0, 1])}, ValueError, "system numbers 0 to 1, but there are 1 systems, numbered"),
        ({"batch": torch.tensor([-1, 0])}, ValueError, "system numbers -1 to 0"),
        ({"batch": torch.tensor([0, 1]), "box": EYE}, ValueError, "system numbers 0 to 1, but there are 1 systems"),
        ({"batch": torch.tensor([0, 2**40])}, ValueError, "system numbers 0 to 1099511627776"),
        ({"num_systems": 0}, ValueError, "system numbers 0 to 0, but there are 0 systems"),
    ],
)
def test_says_what_is_wrong_with_the_atoms(change: dict[str, Tensor], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        graph_of(make_system(torch.zeros((2, 3)))._replace(**change))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"box": FLAT}, ValueError, "the box of system 0 is singular on its periodic axes"),
        ({"box": FLAT}, ValueError, "mark the axes without one as open with pbc"),
        ({"box": FLAT, "pbc": PERIODIC}, ValueError, "the box of system 0 is singular on its periodic axes"),
        ({"box": NEARLY_FLAT}, ValueError, "the box of system 0 is singular on its periodic axes"),
        ({"box": EYE * torch.tensor([1.0, 1, 0])}, ValueError, "the box of system 0 is singular on its periodic axes"),
        ({"box": EYE * torch.nan}, ValueError, "the box of system 0 holds NaN or infinite numbers"),
        ({"box": EYE * torch.inf}, ValueError, "the box of system 0 holds NaN or infinite numbers"),
        ({"box": EYE.double() * torch.nan}, ValueError, "the box of system 0 holds NaN or infinite numbers"),
        ({"box": torch.eye(2)}, ValueError, r"shape \(3, 3\), or \(B, 3, 3\) for B = 1 systems, not \(2, 2\)"),
        ({"box": EYE.repeat(2, 1, 1)}, ValueError, r"for B = 1 systems, not \(2, 3, 3\)"),
        ({"box": EYE[None]}, ValueError, r"for B = 1 systems, not \(1, 1, 3, 3\)"),
        ({"box": EYE.long()}, TypeError, "the box must be floating point, not torch.int64"),
        ({"pbc": PERIODIC}, ValueError, "pbc says that axes are periodic, but no box was given"),
        ({"box": EYE * 0, "pbc": PERIODIC}, ValueError, "system 0 is periodic, but its box is all zeros"),
        ({"box": EYE, "pbc": torch.ones(2, 3)}, ValueError, r"pbc must have shape \(3,\), or \(B, 3\)"),
        ({"box": EYE, "pbc": torch.ones(2)}, ValueError, r"for B = 1 systems, not \(2,\)"),
    ],
)
def test_says_what_is_wrong_with_a_cell(change: dict[str, Tensor], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        graph_of(make_system(torch.zeros((2, 3)))._replace(**change))


def test_says_which_of_many_systems_is_wrong() -> None:
    box = torch.cat([EYE, EYE, FLAT, EYE])
    with pytest.raises(ValueError, match="the box of system 2 is singular"):
        graph_of(make_system(torch.zeros((4, 3)), torch.arange(4), box))
    pos = torch.zeros((5000, 3), dtype=torch.float64)
    pos[:, 0] = torch.arange(5000)
    pos[4321, 2] = torch.nan
    with pytest.raises(ValueError, match="the position of atom 4321 is NaN or infinite"):
        graph_of(make_system(pos, torch.arange(5000) // 1250))


def test_a_wrong_cell_is_refused_whether_or_not_its_system_has_atoms() -> None:
    for pos, batch in ((torch.zeros((0, 3)), torch.zeros(0, dtype=torch.int64)), (torch.zeros((1, 3)), torch.ones(1))):
        system = make_system(pos, batch.long(), torch.cat([FLAT, EYE]), num=2)
        with pytest.raises(ValueError, match="the box of system 0 is singular"):
            graph_of(system)


def test_a_very_skewed_cell_is_no_singular_one() -> None:
    box = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 1, 1e-3]]], dtype=torch.float64)
    pbc = torch.tensor([[True, False, True]])
    assert len(graph_of(make_system(torch.zeros((1, 3), dtype=torch.float64), box=box, pbc=pbc), 2.5).receiver)


@pytest.mark.parametrize("name", ["batch", "box", "pbc"])
def test_refuses_tensors_on_two_devices(name: str) -> None:
    system = make_system(torch.zeros((2, 3)), box=EYE * 9, pbc=PERIODIC)
    with pytest.raises(ValueError, match="meta, the positions on cpu: put both on one device"):
        graph_of(system._replace(**{name: getattr(system, name).to("meta")}))


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap], ids=["grad", "vmap"])
def test_refuses_transforms_that_cannot_follow(transform: Callable[..., Any]) -> None:
    def energy(pos: Tensor) -> Tensor:
        return neighbor_pairs(pos, cutoff_upper=2.0).distance.sum()

    pos = torch.rand((3, 4, 3)) if transform is torch.func.vmap else torch.rand((4, 3))
    with pytest.raises(RuntimeError, match=r"torch.func's transforms .* cannot follow: put systems into one batch"):
        transform(energy)(pos)


def test_refuses_an_atom_more_cells_away_than_can_be_counted() -> None:
    pos = torch.tensor([[0.0, 0, 0], [1e13, 0, 0]], dtype=torch.float64)
    with pytest.raises((ValueError, RuntimeError), match="cells away"):
        graph_of(make_system(pos, box=EYE.double()))


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (0.0, 0.0, "upper > 0, not lower 0.0 and upper 0.0"),
        (0.0, -3.0, "upper > 0, not lower 0.0 and upper -3.0"),
        (-1.0, 2.0, "lower >= 0"),
        (0.0, float("nan"), "must be finite"),
        (float("nan"), 2.0, "must be finite"),
        (0.0, float("inf"), "must be finite"),
        (2.0, 2.0, "the lower cutoff must be below the upper one, not lower 2.0 and upper 2.0"),
        (3.0, 2.0, "the lower cutoff must be below the upper one"),
    ],
)
def test_says_what_is_wrong_with_cutoffs(lower: float, upper: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        graph_of(make_system(torch.zeros((1, 3))), upper, lower)


def test_an_error_leaves_the_next_search_right() -> None:
    system = dense_system(1, 300, density=0.1, pbc=(True, True, True))
    before = graph_of(system)
    with pytest.raises(ValueError, match="NaN or infinite"):
        graph_of(system._replace(pos=system.pos * torch.nan))
    for a, b in zip(graph_of(system), before, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("num_atoms", [1, 40])
def test_more_pairs_than_an_int32_counts_are_refused_before_they_are_listed(num_atoms: int) -> None:
    edge = 0.005 * num_atoms ** (1 / 3)
    pos = edge * torch.rand(num_atoms, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RuntimeError, match="more than 2147483647 pairs: use a shorter cutoff"):
        neighbor_pairs(pos, box=edge * torch.eye(3, dtype=torch.float64), cutoff_upper=10.0)


def test_a_capacity_is_an_integer() -> None:
    with pytest.raises(TypeError, match=r"the capacity is a number of rows, an integer, not 5\.5"):
        neighbor_pairs(torch.zeros(2, 3), cutoff_upper=1.0, capacity=5.5)
    with pytest.raises(ValueError, match="the capacity is at most 2147483647, not 2147483648"):
        neighbor_pairs(torch.zeros(2, 3), cutoff_upper=1.0, capacity=2**31)
