"""Native passes over the atoms equal what PyTorch's operations give, derivatives included."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import native, part_norms, tensor_mix, tensor_scale, tensor_update
from torchmdnet.ops.part_maps import map_parts

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


class Pass(NamedTuple):
    """An op with its reference, and arguments for both."""

    name: str
    reference: Callable[..., Any]
    backward_reference: Callable[..., Any]
    arguments: Callable[[Callable[..., Tensor], int, int], tuple[Any, ...]]
    """Of a source of random numbers by shape, atoms and channels."""
    num_kept: int
    """The last arguments that the op of the gradient takes."""


def maps(draw: Callable[..., Tensor], channels: int) -> list[Tensor]:
    return [draw(channels, channels) / channels**0.5 for _ in range(3)]


def update_arguments(*, both: bool, has_kappa: bool) -> Callable[..., tuple[Any, ...]]:
    def arguments(draw: Callable[..., Tensor], atoms: int, channels: int) -> tuple[Any, ...]:
        tensors = [draw(9, atoms, channels) for _ in range(3)]
        kappa = draw(atoms, 1) if has_kappa else draw(0, 1)
        return (*tensors, kappa, *maps(draw, channels), both)

    return arguments


def update(both: bool, has_kappa: bool) -> Pass:
    return Pass(
        "tensor_update",
        tensor_update.tensor_update_reference,
        tensor_update.tensor_update_backward_reference,
        update_arguments(both=both, has_kappa=has_kappa),
        7,
    )


PASSES = {
    "mix": Pass(
        "tensor_mix",
        tensor_mix.tensor_mix_reference,
        tensor_mix.tensor_mix_backward_reference,
        lambda draw, n, c: (draw(9, n, c), *maps(draw, c)),
        4,
    ),
    "scale": Pass(
        "tensor_scale",
        tensor_scale.tensor_scale_reference,
        tensor_scale.tensor_scale_backward_reference,
        lambda draw, n, c: (draw(9, n, c), draw(n, 3, c), *maps(draw, c)),
        5,
    ),
    "update": update(True, False),
    "charged update": update(True, True),
    "one-sided update": update(False, False),
    "charged one-sided update": update(False, True),
    "norms": Pass(
        "part_norms",
        part_norms.part_norms_reference,
        part_norms.part_norms_backward_reference,
        lambda draw, n, c: (draw(9, n, c),),
        1,
    ),
}

each_pass = pytest.mark.parametrize("case", PASSES.values(), ids=PASSES.keys())


def source(dtype: torch.dtype = torch.float64) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def op_of(case: Pass, suffix: str = "") -> Callable[..., Any]:
    op: Callable[..., Any] = getattr(torch.ops.torchmdnet, case.name + suffix)
    return op


def gradients_like(results: Any, draw: Callable[..., Tensor]) -> list[Tensor]:
    results = results if isinstance(results, tuple) else (results,)
    return [draw(*result.shape) for result in results]


# Atoms and channels that fill tiles and registers, that leave some over, and several blocks.
@each_pass
@pytest.mark.parametrize(("atoms", "channels"), [(0, 4), (1, 1), (7, 5), (13, 37), (26, 64), (61, 128)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_equals_its_reference(case: Pass, atoms: int, channels: int, dtype: torch.dtype, tolerance: float) -> None:
    arguments = case.arguments(source(dtype), atoms, channels)
    expected = case.reference(*arguments)
    torch.testing.assert_close(op_of(case)(*arguments), expected, atol=tolerance, rtol=tolerance)
    grads = gradients_like(expected, source(dtype))
    kept = arguments[-case.num_kept :]
    ours, theirs = op_of(case, "_backward")(*grads, *kept), case.backward_reference(*grads, *kept)
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


def tracked(arguments: tuple[Any, ...]) -> list[Any]:
    return [value.requires_grad_() if isinstance(value, Tensor) else value for value in arguments]


@each_pass
def test_has_first_and_second_derivatives_by_all_arguments(case: Pass) -> None:
    inputs = tracked(case.arguments(source(), 2, 2))
    assert gradcheck(op_of(case), inputs)
    assert gradgradcheck(op_of(case), inputs)


@each_pass
def test_gradient_of_few_arguments_is_that_of_all(case: Pass) -> None:
    arguments = case.arguments(source(), 3, 4)
    results = case.reference(*tracked(arguments))
    grads = gradients_like(results, source())
    (expected,) = torch.autograd.grad(results, arguments[0], grads)
    frozen = [value.detach() if isinstance(value, Tensor) else value for value in arguments]
    frozen[0].requires_grad_()
    (found,) = torch.autograd.grad(op_of(case)(*frozen), frozen[0], grads)
    torch.testing.assert_close(found, expected)


@needs_native
@each_pass
def test_passes_torchs_own_checks_of_an_operator(case: Pass) -> None:
    inputs = tracked(case.arguments(source(), 3, 4))
    torch.library.opcheck(op_of(case).default, tuple(inputs))
    results = case.reference(*inputs)
    grads = [grad.requires_grad_() for grad in gradients_like(results, source())]
    torch.library.opcheck(op_of(case, "_backward").default, (*grads, *inputs[-case.num_kept :]))


@each_pass
def test_has_the_same_bits_for_any_number_of_threads(case: Pass) -> None:
    arguments = case.arguments(source(torch.float32), 101, 40)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results = op_of(case)(*arguments)
            grads = gradients_like(results, source(torch.float32))
            slopes = op_of(case, "_backward")(*grads, *arguments[-case.num_kept :])
            found.append((results, slopes))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


def test_one_of_two_gradients_may_be_missing() -> None:
    x, *weights = tracked(PASSES["mix"].arguments(source(), 3, 4))
    for used in (0, 1):
        found = torch.autograd.grad(tensor_mix.tensor_mix(x, weights)[used].sum(), x)
        expected = torch.autograd.grad(tensor_mix.tensor_mix_reference(x, *weights)[used].sum(), x)
        torch.testing.assert_close(found, expected)


def test_maps_of_parts_are_linear_maps_of_their_channels() -> None:
    draw = source()
    x, weights = draw(9, 2, 3), maps(draw, 3)
    linear = torch.nn.functional.linear
    expected = [linear(part, weight) for part, weight in zip(x.split((1, 3, 5)), weights, strict=True)]
    torch.testing.assert_close(map_parts(x, weights), torch.cat(expected))


def test_shapes_that_do_not_go_together_are_told() -> None:
    draw = source()
    x, weights = draw(9, 2, 4), maps(draw, 4)
    with pytest.raises(ValueError, match=r"want x \(9, N, C\) and three maps \(C, C\), not \(8, 2, 4\)"):
        tensor_mix.tensor_mix(x[:8], weights)
    with pytest.raises(ValueError, match=r"three maps \(C, C\), not \(9, 2, 4\) and \(4, 4\), \(4, 4\), \(3, 3\)"):
        tensor_mix.tensor_mix(x, [*weights[:2], draw(3, 3)])
    with pytest.raises(ValueError, match=r"want scales \(N, 3, C\) for x \(9, 2, 4\), not \(2, 4, 3\)"):
        tensor_scale.tensor_scale(x, draw(2, 4, 3), weights)
    with pytest.raises(ValueError, match=r"of one shape and kappa \(N, 1\), not .* and \(3, 1\)"):
        tensor_update.tensor_update(x, x, message=x, maps=weights, kappa=draw(3, 1), both=True)


@needs_native
def test_the_op_refuses_what_would_be_read_out_of_bounds() -> None:
    draw = source()
    x, weights = draw(9, 2, 4), maps(draw, 4)
    with pytest.raises(RuntimeError, match=r"maps must be contiguous, of shape \(C, C\)"):
        torch.ops.torchmdnet.tensor_mix(x, *weights[:2], draw(3, 3))
    with pytest.raises(RuntimeError, match=r"scales must be contiguous, of shape \(N, 3, C\)"):
        torch.ops.torchmdnet.tensor_scale(x, draw(2, 4, 3), *weights)
    with pytest.raises(RuntimeError, match=r"kappa must be contiguous, of shape \(N, 1\) or \(0, 1\)"):
        torch.ops.torchmdnet.tensor_update(x, x, x, draw(3, 1), *weights, True)
    with pytest.raises(RuntimeError, match=r"grad must be contiguous, of shape \(N, 3, C\)"):
        torch.ops.torchmdnet.part_norms_backward(draw(2, 4, 3), x)
