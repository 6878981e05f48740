"""Queries, keys and values by the op are those of a layer norm and linear maps, derivatives included."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from frozen_cases import SIZES, projection_case
from table_cases import features
from torch import Tensor
from torch.nn import functional as F

from torchmdnet.ops import native
from torchmdnet.ops.atom_projection import atom_projection

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
EPS = 1e-5


def project(x: Tensor, maps: Any) -> tuple[Tensor, ...]:
    """By PyTorch's own functions."""
    y = F.layer_norm(x, maps.scale.shape, maps.scale, maps.shift, EPS)
    channels = x.shape[1]
    return F.linear(y, maps.transposed, maps.bias).split((channels, channels, 3 * channels), dim=1)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_equals_norm_and_linear_maps(size: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
    x, maps = projection_case(*size, dtype)
    expected = project(x, maps)
    for ours, theirs in zip(atom_projection(x, maps, eps=EPS), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
        assert ours.is_contiguous()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
def test_gradients_are_those_of_norm_and_linear_maps(
    size: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    x, maps = projection_case(*size, dtype)
    x.requires_grad_()
    outputs = project(x, maps)
    grads = [features(*value.shape, seed=20 + n, dtype=dtype) for n, value in enumerate(outputs)]
    (expected,) = torch.autograd.grad(outputs, x, grads)
    (ours,) = torch.autograd.grad(atom_projection(x, maps, eps=EPS), x, grads)
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance * scale)


def test_has_first_and_second_derivatives() -> None:
    x, maps = projection_case(3, 4)
    run: Callable[[Tensor], Any] = lambda x: atom_projection(x, maps, eps=EPS)  # noqa: E731
    assert torch.autograd.gradcheck(run, x.requires_grad_())
    assert torch.autograd.gradgradcheck(run, x)


def test_refuses_a_gradient_by_the_weights() -> None:
    x, maps = projection_case(3, 4)
    query, _, _ = atom_projection(x, maps._replace(bias=maps.bias.requires_grad_()), eps=EPS)
    with pytest.raises(RuntimeError, match="no gradient by its weights: freeze them"):
        query.sum().backward()


@pytest.mark.parametrize("size", [(0, 4), (3, 0)], ids=str)
def test_nothing_gives_nothing(size: tuple[int, int]) -> None:
    x, maps = projection_case(*size)
    results = atom_projection(x.requires_grad_(), maps, eps=EPS)
    assert [value.shape for value in results] == [size, size, (size[0], 3 * size[1])]
    sum(value.sum() for value in results).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    assert x.grad.shape == size


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x, maps = projection_case(101, 72, torch.float32)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            outputs = atom_projection(x, maps, eps=EPS)
            results.append((*outputs, torch.ops.torchmdnet.atom_projection_backward(*outputs, x, *maps, EPS)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@needs_native
def test_an_atom_does_not_depend_on_the_others() -> None:
    x, maps = projection_case(60, 40, torch.float32)
    whole, part = atom_projection(x, maps, eps=EPS), atom_projection(x[37:39], maps, eps=EPS)
    assert all(torch.equal(a[37:39], b) for a, b in zip(whole, part, strict=True))


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    x, maps = projection_case(5, 6)
    torch.library.opcheck(torch.ops.torchmdnet.atom_projection.default, (x.requires_grad_(), *maps, EPS))
    grads = atom_projection(x.detach(), maps, eps=EPS)
    torch.library.opcheck(torch.ops.torchmdnet.atom_projection_backward.default, (*grads, x, *maps, EPS))


def test_a_wrong_shape_is_told() -> None:
    x, maps = projection_case(5, 6)
    with pytest.raises(ValueError, match=r"want x \(N, C\) and maps .* not \(5, 5\) and \(6,\), \(6,\), \(6, 30\)"):
        atom_projection(x[:, :5], maps, eps=EPS)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (0, lambda t: t[0], r"want x \(N, C\)"),
        (0, lambda t: t.long(), "x must be float32 or float64"),
        (1, lambda t: t[:-1], r"want scale and shift \(C,\)"),
        (3, lambda t: t.t(), "arrays must be contiguous and of one type"),
        (4, lambda t: t[:-1], r"transposed \(5 C, C\)"),
        (5, lambda t: t[:-1], r"bias \(5 C,\)"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Any], Any], text: str
) -> None:
    x, maps = projection_case(5, 6)
    grads = atom_projection(x, maps, eps=EPS)
    arguments = [x, *maps, EPS]
    arguments[position] = change(arguments[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.atom_projection(*arguments)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.atom_projection_backward(*grads, *arguments)


@needs_native
def test_the_bare_derivative_refuses_gradients_of_other_shapes() -> None:
    x, maps = projection_case(5, 6)
    query, key, value = atom_projection(x, maps, eps=EPS)
    with pytest.raises(RuntimeError, match=r"want gradients \(N, C\), \(N, C\) and \(N, 3 C\)"):
        torch.ops.torchmdnet.atom_projection_backward(query, key[:-1], value, x, *maps, EPS)
