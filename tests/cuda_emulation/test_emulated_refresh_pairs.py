"""The CUDA op that cuts a longer list, launcher and all, run on the CPU: the same as that for it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from random_systems import dense_system, make_system, periodic_example, random_system
from torch import Tensor
from torch.autograd import gradcheck

from torchmdnet.graph import System
from torchmdnet.neighbors import VerletList, check_status, neighbor_pairs
from torchmdnet.ops.neighbor_pairs import FAULTS, keep_list, list_backward

UPPER = 2.5
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}


def given(
    system: System,
    *,
    lower: float = 0.0,
    upper: float = UPPER,
    loop: bool = True,
    capacity: int | None = None,
    num_rows: int = -1,
    reach: float = 0.2,
) -> list[Any]:
    """The op's arguments: a list for a longer cutoff, and positions that have moved since."""
    box = system.pos.new_zeros((0, 3, 3))
    if system.box is not None:
        box = system.box.expand(system.num_systems, 3, 3).contiguous()
    system = system._replace(box=None if system.box is None else box)
    pairs = neighbor_pairs(
        system.pos,
        system.batch,
        cutoff_upper=UPPER + 0.5,
        box=system.box,
        pbc=system.pbc,
        num_systems=system.num_systems,
        loop=loop,
        capacity=capacity,
    )
    shift = pairs.shift if system.box is not None else pairs.shift[:0]
    random = torch.Generator().manual_seed(0)
    pos = system.pos + 0.2 * (torch.rand(system.pos.shape, generator=random).to(system.pos) - 0.5)
    known = [system.pos, box.clone(), reach]
    return [pos, system.batch, box, pairs.sender, shift, pairs.row_ptr, *known, lower, upper, num_rows]


def assert_equals_cpu(ops: Any, arguments: list[Any]) -> None:
    tolerance = TOLERANCE[arguments[0].dtype]
    ours, theirs = ops.refresh_pairs(*arguments), torch.ops.torchmdnet.refresh_pairs(*arguments)
    torch.testing.assert_close(ours[:2], theirs[:2], rtol=0, atol=tolerance)
    for one, other in zip(ours[2:], theirs[2:], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lower", [0.0, 0.6])
@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "thin", "tiny"])
def test_any_list_is_cut_as_on_the_cpu(ops: Any, kind: str, loop: bool, lower: float, dtype: torch.dtype) -> None:
    system = random_system(7, kind=kind, upper=UPPER, spread=2.0, dtype=dtype)
    assert_equals_cpu(ops, given(system, lower=lower, loop=loop))


def many_atoms() -> list[Any]:
    """More atoms than a block adds up, and rows of more than 32 pairs."""
    return given(dense_system(1, 4200, density=0.3, pbc=(True, True, False)), upper=2.2)


def test_many_atoms_have_the_pairs_of_the_cpu(kernels: ModuleType, ops: Any) -> None:
    arguments = many_atoms()
    assert arguments[5].diff().max() > 32
    assert_equals_cpu(ops, arguments)
    assert kernels.count_launches() == 4
    arguments[-1] = 140_000
    assert_equals_cpu(ops, arguments)


def test_gives_the_same_bits_in_any_order(kernels: ModuleType, ops: Any) -> None:
    arguments = given(random_system(7, kind="plain", upper=UPPER, spread=2.0))
    once = ops.refresh_pairs(*arguments)
    for seed in (1, 2):
        kernels.set_seed(seed)
        for one, other in zip(once, ops.refresh_pairs(*arguments), strict=True):
            assert torch.equal(one, other)


def test_leaves_padding_out(ops: Any) -> None:
    exact = given(periodic_example())
    spare = given(periodic_example(), capacity=len(exact[3]) + 70)
    assert len(spare[3]) == len(exact[3]) + 70
    for one, other in zip(ops.refresh_pairs(*spare), ops.refresh_pairs(*exact), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("num_atoms", [0, 1, 2])
@pytest.mark.parametrize("with_box", [False, True])
def test_few_atoms_have_no_pairs(ops: Any, num_atoms: int, with_box: bool) -> None:
    pos = 9.0 * torch.arange(3 * num_atoms).reshape(-1, 3).float()
    system = make_system(pos, box=torch.eye(3)[None] * 100 if with_box else None)
    assert_equals_cpu(ops, given(system, loop=False))
    assert_equals_cpu(ops, given(system, loop=True))


def test_nothing_within_the_cutoff_gives_empty_arrays(ops: Any) -> None:
    assert_equals_cpu(ops, given(periodic_example(), upper=0.01, loop=False))


def test_waits_once_for_the_number_of_pairs(kernels: ModuleType, ops: Any) -> None:
    ops.refresh_pairs(*given(periodic_example()))
    assert kernels.count_waits() == 1
    assert kernels.count_launches() == 3


def test_a_graph_cannot_be_captured_without_a_capacity(kernels: ModuleType, ops: Any) -> None:
    arguments = given(periodic_example())
    kernels.set_captures(True)
    with pytest.raises(
        RuntimeError, match="not known while a CUDA graph is captured: give a capacity, or set skin = 0"
    ):
        ops.refresh_pairs(*arguments)
    ops.refresh_pairs(*arguments[:-1], 900)
    assert kernels.count_waits() == 0


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
def test_a_list_of_fixed_length_is_that_of_the_cpu(
    kernels: ModuleType, ops: Any, kind: str, dtype: torch.dtype
) -> None:
    arguments = given(random_system(7, kind=kind, upper=UPPER, spread=2.0, dtype=dtype))
    num = len(ops.refresh_pairs(*arguments)[1])
    kernels.count_waits()
    for spare in (0, 1, 300):
        arguments[-1] = num + spare
        assert_equals_cpu(ops, arguments)
    assert kernels.count_waits() == 0


@pytest.mark.parametrize("num_rows", [0, 1, 7, 60])
def test_too_small_a_capacity_is_told_by_the_status(ops: Any, num_rows: int) -> None:
    num = len(ops.refresh_pairs(*given(periodic_example()))[1])
    told = ops.refresh_pairs(*given(periodic_example(), num_rows=num_rows))
    assert told[6].tolist() == [num, 64]
    assert_shares_rows_of_nan(told, num_rows)


def test_many_atoms_share_what_overflows(ops: Any) -> None:
    told = ops.refresh_pairs(*many_atoms()[:-1], 50_000)
    assert told[6][1] == 64
    assert_shares_rows_of_nan(told, 50_000)


def assert_shares_rows_of_nan(told: tuple[Tensor, ...], num_rows: int) -> None:
    """All rows are NaN and belong to the atom whose row they are in."""
    vector, distance, receiver, sender, shift, row_ptr, _ = told
    assert len(distance) == num_rows
    assert vector.isnan().all()
    assert distance.isnan().all()
    assert not shift.any()
    assert row_ptr[0] == 0
    assert row_ptr[-1] == num_rows
    assert torch.equal(torch.repeat_interleave(row_ptr.diff()).int(), receiver)
    assert torch.equal(sender, receiver)


def pushed(pos: Tensor) -> Tensor:
    """One atom a little more than the reach from where it was."""
    return pos + 0.4 * (torch.arange(len(pos)) == 5)[:, None]


STALE: dict[str, tuple[int, Callable[[Tensor], Tensor], int]] = {
    "an atom has moved too far": (0, pushed, 128),
    "a cell has changed": (7, lambda box: box * (1 + 1e-15), 128),
    "a position is NaN": (0, lambda pos: pos * torch.nan, 1),
    "an atom's system is none": (1, lambda batch: batch + 1, 2),
    "rows begin late": (5, lambda rows: rows + 1, 256),
    "a sender is no atom": (3, lambda sender: sender + 12, 1024),
}


@pytest.mark.parametrize("name", STALE)
def test_what_is_wrong_is_told_by_the_status_with_a_capacity(kernels: ModuleType, ops: Any, name: str) -> None:
    arguments = given(periodic_example(), num_rows=900)
    place, change, bit = STALE[name]
    arguments[place] = change(arguments[place])
    told = ops.refresh_pairs(*arguments)
    assert kernels.count_waits() == 0
    assert told[6][1] & bit
    with pytest.raises(RuntimeError, match=FAULTS[bit]):
        check_status(told[6], capacity=900)
    assert_shares_rows_of_nan(told, 900)


def test_an_atom_that_moved_too_far_is_an_error_without_a_capacity(ops: Any) -> None:
    arguments = given(periodic_example())
    arguments[0] = pushed(arguments[0])
    with pytest.raises(RuntimeError, match="torchmdnet: an atom has moved too far, or a cell has changed, since"):
        ops.refresh_pairs(*arguments)


def test_a_list_with_a_skin_waits_for_nothing_in_a_graph(
    kernels: ModuleType, ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmdnet.ops.refresh_pairs.native.call", lambda name, *given: getattr(ops, name)(*given))
    system = periodic_example()
    neighbors = VerletList(0.0, UPPER, skin=1.0, loop=True, capacity=900)
    eager = neighbors(system)
    kernels.count_waits()
    kernels.set_captures(True)
    monkeypatch.setattr("torchmdnet.ops.recording.is_captured", lambda _: True)
    for one, other in zip(neighbors(system), eager, strict=True):
        assert torch.equal(one, other)
    moved = neighbors(system._replace(pos=system.pos + 0.6))
    assert kernels.count_waits() == 0
    assert moved.status[1] == 128
    assert moved.distance.isnan().all()


def test_derivatives_are_right(ops: Any) -> None:
    torch.library.register_autograd("torchmdnet_emulated::refresh_pairs", list_backward, setup_context=keep_list)
    pos, batch, box, *rest = given(periodic_example(num_atoms=4), lower=0.3)
    rest[3:5] = pos[:0], box[:0]  # nobody asks whether the list still holds

    def geometry(pos: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        vector, distance, *_ = ops.refresh_pairs(pos, batch, box, *rest)
        return vector, distance

    assert gradcheck(geometry, (pos.requires_grad_(), box.requires_grad_()))


WRONG: list[tuple[int, Callable[[Any], Any], str]] = [
    (0, lambda pos: pos.long(), "positions must be float32 or float64"),
    (0, lambda pos: pos.T.contiguous().T, r"positions must be contiguous, of shape \(N, 3\)"),
    (0, lambda pos: pos[1:], "sender, shift and row_ptr are not of one list"),
    (1, lambda batch: batch.int(), r"batch must be int64, contiguous, of shape \(N,\)"),
    (1, lambda batch: batch + 1, "batch holds a system number that is negative or not below num_systems"),
    (2, lambda box: box.float(), "box must be of the positions' dtype"),
    (3, lambda sender: sender.long(), "receiver, sender and row_ptr must be contiguous int32 vectors"),
    (3, lambda sender: sender + 12, "a receiver or sender is not an atom"),
    (4, lambda shift: shift[1:], "sender, shift and row_ptr are not of one list"),
    (5, lambda rows: rows + 1, "row_ptr does not fit the number of rows"),
    (5, lambda rows: torch.cat([rows[:1], rows[1:-1].flip(0), rows[-1:]]), "row_ptr descends"),
    (5, lambda rows: torch.cat([rows[:1], -rows[1:-1], rows[-1:]]), "row_ptr descends"),
]


@pytest.mark.parametrize(("place", "change", "text"), WRONG)
def test_says_what_it_cannot_take(ops: Any, place: int, change: Callable[[Any], Any], text: str) -> None:
    arguments = given(periodic_example())
    arguments[place] = change(arguments[place])
    with pytest.raises(RuntimeError, match=f"torchmdnet: .*{text}"):
        ops.refresh_pairs(*arguments)
