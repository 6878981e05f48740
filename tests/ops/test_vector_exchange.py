"""The op's exchange between scalars and vectors is that of linear maps and products, derivatives included."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from frozen_cases import SIZES, exchange_case
from table_cases import features
from torch import Tensor
from torch.nn import functional as F

from torchmdnet.ops import native, vector_exchange
from torchmdnet.ops.vector_exchange import ExchangeMaps
from torchmdnet.ops.vector_exchange import vector_exchange as op

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def exchange(values: Sequence[Tensor], maps: ExchangeMaps) -> tuple[Tensor, Tensor]:
    """By the op."""
    x, v, received, vectors = values
    return op(x, v, received=received, vectors=vectors, maps=maps)


def expected_exchange(values: Sequence[Tensor], maps: ExchangeMaps) -> tuple[Tensor, Tensor]:
    """By PyTorch's own functions."""
    x, v, received, vectors = values
    p1, p2, p3 = F.linear(v, maps.vector_transposed).chunk(3, dim=-1)
    o1, o2, o3 = F.linear(received, maps.transposed, maps.bias).chunk(3, dim=-1)
    return x + (p1 * p2).sum(1) * o2 + o3, v + p3 * o1.unsqueeze(1) + vectors


def assert_near(ours: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    """Relative to the largest entry, or to 1."""
    for value, wanted in zip(ours, expected, strict=True):
        scale = max(1.0, float(wanted.detach().abs().max()))
        torch.testing.assert_close(value, wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("most_kept", [0, 512])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 5e-6)])
def test_values_and_gradients_are_those_of_linear_maps(
    size: tuple[int, int], dtype: torch.dtype, tolerance: float, most_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_exchange, "MOST_KEPT", most_kept)
    values, maps = exchange_case(*size, dtype)
    for value in values:
        value.requires_grad_()
    ours, expected = exchange(values, maps), expected_exchange(values, maps)
    assert_near(ours, expected, tolerance)
    grads = [features(*value.shape, seed=20 + n, dtype=dtype) for n, value in enumerate(expected)]
    assert_near(torch.autograd.grad(ours, values, grads), torch.autograd.grad(expected, values, grads), tolerance)


@pytest.mark.parametrize("most_kept", [0, 512])
def test_has_first_and_second_derivatives(most_kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_exchange, "MOST_KEPT", most_kept)
    values, maps = exchange_case(3, 2)
    inputs = tuple(value.requires_grad_() for value in values)
    run: Callable[..., Any] = lambda *values: exchange(values, maps)  # noqa: E731
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_vectors_that_are_zero_are_like_any_others() -> None:
    values, maps = exchange_case(30, 16)
    values[1][:26] = 0
    for value in values:
        value.requires_grad_()
    ours, expected = exchange(values, maps), expected_exchange(values, maps)
    assert_near(ours, expected, 1e-13)
    grads = [features(*value.shape, seed=20 + n) for n, value in enumerate(expected)]
    assert_near(torch.autograd.grad(ours, values, grads), torch.autograd.grad(expected, values, grads), 1e-13)


def test_scalars_or_vectors_alone_can_be_differentiated() -> None:
    values, maps = exchange_case(4, 6)
    for value in values:
        value.requires_grad_()
    for number in (0, 1):
        ours, expected = exchange(values, maps)[number], expected_exchange(values, maps)[number]
        found = torch.autograd.grad(ours.sum(), values, allow_unused=True, materialize_grads=True)
        wanted = torch.autograd.grad(expected.sum(), values, allow_unused=True, materialize_grads=True)
        assert_near(found, wanted, 1e-13)


def test_refuses_a_gradient_by_the_weights() -> None:
    values, maps = exchange_case(3, 4)
    x, _ = exchange(values, maps._replace(bias=maps.bias.requires_grad_()))
    with pytest.raises(RuntimeError, match="no gradient by its weights: freeze them"):
        x.sum().backward()


@pytest.mark.parametrize("size", [(0, 4), (3, 0)], ids=str)
def test_nothing_gives_nothing(size: tuple[int, int]) -> None:
    values, maps = exchange_case(*size)
    x, v = exchange([value.requires_grad_() for value in values], maps)
    assert (x.shape, v.shape) == (size, (size[0], 3, size[1]))
    (x.sum() + v.sum()).backward()
    assert all(value.grad is not None and value.grad.shape == value.shape for value in values)


def test_any_number_of_threads_gives_the_same_bits_kept_or_not() -> None:
    values, maps = exchange_case(101, 72, torch.float32)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            for keeps in (True, False):
                x, v, *kept = torch.ops.torchmdnet.vector_exchange(*values, *maps, keeps)
                gradients = torch.ops.torchmdnet.vector_exchange_backward(x, v, *values[1:3], *kept, *maps)
                results.append((x, v, *gradients))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@needs_native
@pytest.mark.parametrize("keeps", [False, True])
def test_passes_torchs_own_checks_of_an_operator(keeps: bool) -> None:
    values, maps = exchange_case(5, 6)
    x, v, *kept = torch.ops.torchmdnet.vector_exchange(*values, *maps, keeps)
    backward = (x, v, *values[1:3], *kept, *maps)
    torch.library.opcheck(torch.ops.torchmdnet.vector_exchange_backward.default, backward)
    inputs = [value.requires_grad_() for value in values]
    torch.library.opcheck(torch.ops.torchmdnet.vector_exchange.default, (*inputs, *maps, keeps))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, r"want v \(5, 3, 6\), not \(4, 3, 6\)"),
        (2, r"want received \(5, 6\), not \(4, 6\)"),
        (3, r"want vectors \(5, 3, 6\), not \(4, 3, 6\)"),
    ],
)
def test_a_wrong_shape_is_told(number: int, text: str) -> None:
    values, maps = exchange_case(5, 6)
    values[number] = values[number][:-1]
    with pytest.raises(ValueError, match=text):
        exchange(values, maps)


def test_maps_of_other_channels_are_told() -> None:
    values, maps = exchange_case(5, 6)
    with pytest.raises(ValueError, match=r"want vector_map \(6, 18\), not \(18, 6\)"):
        exchange(values, maps._replace(vector_map=maps.vector_transposed))


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (1, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (1, lambda t: t[:, :2].contiguous(), r"want vectors \(N, 3, C\)"),
        (2, lambda t: t[0], r"want scalars \(N, C\)"),
        (2, lambda t: t.long(), "arrays must be"),
        (4, lambda t: t[:, :-1].contiguous(), r"want maps \(C, 3 C\)"),
        (5, lambda t: t[:-1], r"transposed maps \(3 C, C\)"),
        (6, lambda t: t[:-1], r"bias \(3 C,\)"),
        (7, lambda t: t.float(), "arrays must be contiguous and of one type"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Tensor], Tensor], text: str
) -> None:
    values, maps = exchange_case(5, 6)
    x, v, *kept = torch.ops.torchmdnet.vector_exchange(*values, *maps, True)
    arguments = [*values, *maps]
    arguments[position] = change(arguments[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.vector_exchange(*arguments, True)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.vector_exchange_backward(x, v, *arguments[1:3], *kept, *arguments[4:])


@needs_native
def test_the_bare_derivative_refuses_what_was_kept_of_other_atoms() -> None:
    values, maps = exchange_case(5, 6)
    x, v, p, o = torch.ops.torchmdnet.vector_exchange(*values, *maps, True)
    with pytest.raises(RuntimeError, match=r"want p \(N, 3, 3 C\) and o \(N, 3 C\) of the arrays' type, or none"):
        torch.ops.torchmdnet.vector_exchange_backward(x, v, *values[1:3], p[:-1], o, *maps)
