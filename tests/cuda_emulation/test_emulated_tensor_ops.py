"""The CUDA ops on each atom's tensors and on rows of radial functions, run on the CPU: the same as those for it."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from emulated_ops import EmulatedFirst
from tensor_op_cases import Calls, column_calls, row_calls
from tensor_op_cases import results as all_results
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops.faded_slope import attach_slope
from torchmdnet.ops.silu import silu_jet
from torchmdnet.ops.tensor_algebra import anticommutator, matrix_product, normalize

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
FEW_COLUMNS = 2**18
"""Below this number of columns, a thread has one."""


def assert_equals_cpu(ops: Any, calls: Calls, dtype: torch.dtype) -> None:
    ours, theirs = all_results(ops, calls), all_results(torch.ops.torchmdnet, calls)
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(0, 4), (3, 0), (1, 1), (7, 5), (33, 64)])
def test_tensors_are_those_of_the_cpu(ops: Any, num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(ops, column_calls(num_atoms, channels, dtype), dtype)


def few_calls(calls: Calls) -> Calls:
    """The first arguments of each op only."""
    return {name: lists[:1] for name, lists in calls.items()}


def moved(calls: Calls, offset: int) -> Calls:
    """The same with arrays that begin `offset` numbers after an address that is a multiple of 16."""

    def move(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return torch.cat([value.new_zeros(offset), value.flatten()])[offset:].view(value.shape)

    return {name: [tuple(move(value) for value in arguments) for arguments in lists] for name, lists in calls.items()}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("more", [0, 2, 1])
def test_many_columns_are_read_in_pieces(ops: Any, more: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(ops, few_calls(column_calls(1, FEW_COLUMNS + more, dtype)), dtype)


@pytest.mark.parametrize("offset", [1, 2])
def test_arrays_that_begin_anywhere_are_read_in_smaller_pieces(ops: Any, offset: int) -> None:
    calls = few_calls(column_calls(1, FEW_COLUMNS, torch.float32))
    assert_equals_cpu(ops, moved(calls, offset), torch.float32)
    assert_equals_cpu(ops, moved(row_calls(6, 136, torch.float32), offset), torch.float32)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("rows", "channels"), [(0, 4), (3, 0), (1, 1), (5, 31), (9, 34), (7, 66), (6, 68), (5, 129), (300, 136)]
)
def test_rows_are_those_of_the_cpu(ops: Any, rows: int, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(ops, row_calls(rows, channels, dtype), dtype)


@pytest.mark.parametrize("calls", [column_calls(40, 34, torch.float32), row_calls(50, 136, torch.float32)])
def test_gives_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, calls: Calls) -> None:
    once = all_results(ops, calls)
    for seed in (1, 2):
        kernels.set_seed(seed)
        for name, found in all_results(ops, calls).items():
            assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


def test_each_op_is_one_launch_and_waits_for_nothing(kernels: ModuleType, ops: Any) -> None:
    for calls in (column_calls(7, 5, torch.float32), row_calls(7, 5, torch.float32)):
        for name, lists in calls.items():
            getattr(ops, name)(*lists[0])
            assert kernels.count_launches() == 1, name
    assert kernels.count_waits() == 0


# Derivatives of the functions around the ops


@pytest.fixture
def in_place(kernels: ModuleType, ops: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The emulated ops in the place of those for the CPU."""
    monkeypatch.setattr(torch.ops, "torchmdnet", EmulatedFirst())
    del ops
    yield
    assert kernels.count_launches() > 0


def leaves(*shape: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_() for _ in range(2)]


@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("product", [matrix_product, anticommutator])
def test_derivatives_of_products_are_right(product: Callable[..., Tensor]) -> None:
    assert gradcheck(product, leaves(9, 2, 2))
    assert gradgradcheck(product, leaves(9, 2, 1))


@pytest.mark.usefixtures("in_place")
def test_derivatives_of_normalisation_are_right() -> None:
    assert gradcheck(normalize, leaves(9, 2, 2)[:1])
    assert gradgradcheck(normalize, leaves(9, 1, 2)[:1])


@pytest.mark.usefixtures("in_place")
def test_derivative_of_the_jet_is_right() -> None:
    assert gradcheck(silu_jet, leaves(3, 4))


@pytest.mark.usefixtures("in_place")
def test_derivative_of_a_carried_slope_is_right() -> None:
    f, f_slope = leaves(4, 5)
    c, c_slope = (value.detach() for value in leaves(4, 1))

    def slope(f: Tensor, f_slope: Tensor) -> Tensor:
        distance = torch.ones(4, dtype=torch.float64, requires_grad=True)
        value = attach_slope(f * c, distance, f=f, f_slope=f_slope, c=c, c_slope=c_slope)
        (by_distance,) = torch.autograd.grad(value.sin().sum(), distance, create_graph=True)
        return by_distance

    assert gradcheck(slope, (f, f_slope))


# Errors

TENSORS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "axes": (lambda x: x[:8].contiguous(), r"a tensor must have shape \(9, N, C\)"),
    "type": (lambda x: x.long(), "a tensor must be float32 or float64"),
    "order": (lambda x: x.transpose(1, 2), "tensors must be contiguous and of one shape and type"),
}


@pytest.mark.parametrize("wrong", TENSORS)
def test_refuses_wrong_tensors(ops: Any, wrong: str) -> None:
    spoil, message = TENSORS[wrong]
    for name, lists in column_calls(7, 5, torch.float32).items():
        arguments = [spoil(value) if isinstance(value, Tensor) else value for value in lists[0]]
        with pytest.raises(RuntimeError, match=message):
            getattr(ops, name)(*arguments)


def test_refuses_tensors_of_two_shapes_or_types(ops: Any) -> None:
    for name, lists in column_calls(7, 5, torch.float32).items():
        x, *rest = lists[0]
        if not rest:
            continue
        for other in (x[:, 1:].contiguous(), x.double()):
            with pytest.raises(RuntimeError, match="tensors must be contiguous and of one shape and type"):
                getattr(ops, name)(x, other, *rest[1:])


def test_refuses_wrong_rows(ops: Any) -> None:
    for name, lists in row_calls(6, 5, torch.float32).items():
        arguments = list(lists[0])
        for place, value in enumerate(arguments):
            is_column = value.ndim == 1 or value.shape[1] == 1
            message = "a column must hold a number for each of the P rows" if is_column else "arrays must be contiguous"
            for wrong in (value[:-1].contiguous(), value.double()):
                spoiled = [*arguments[:place], wrong, *arguments[place + 1 :]]
                with pytest.raises(RuntimeError, match=f"{message}|arrays must be contiguous|a column must hold"):
                    getattr(ops, name)(*spoiled)
