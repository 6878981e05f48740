"""Messages with tabulated weights equal messages with interpolated weights, derivatives included."""

import pytest
import torch
from table_cases import TableCase, edge_arguments, features, make_table_case, padded_case
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.table_message import (
    table_message,
    table_message_backward_reference,
    table_message_reference,
)
from torchmdnet.ops.tensor_message import tensor_message

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


def make_x(case: TableCase, *, dtype: torch.dtype = torch.float64) -> Tensor:
    return features(9, len(case.graph.row_ptr) - 1, case.table.shape[-1], seed=1, dtype=dtype)


@pytest.mark.parametrize("channels", [1, 7, 8, 16, 37])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_equals_the_message_with_interpolated_weights(channels: int, dtype: torch.dtype, tolerance: float) -> None:
    case = make_table_case(channels=channels, dtype=dtype)
    x = make_x(case, dtype=dtype)
    expected = tensor_message(interpolate(case.table, case.s), x, case.graph)
    torch.testing.assert_close(
        table_message(case.table, case.s, x, case.graph), expected, atol=tolerance, rtol=tolerance
    )


@pytest.mark.parametrize("channels", [1, 8, 37])
@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_gradients_equal_those_of_the_reference(
    channels: int, loop: bool, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_table_case(channels=channels, dtype=dtype, loop=loop)
    x = make_x(case, dtype=dtype)
    arguments = (x.flip(0).cos(), case.table, case.s, x, *edge_arguments(case.graph))
    ours = torch.ops.torchmdnet.table_message_backward(*arguments)
    reference = table_message_backward_reference(*arguments)
    torch.testing.assert_close(ours, reference, atol=tolerance, rtol=tolerance)


def test_has_first_and_second_derivatives_by_table_coordinate_and_features() -> None:
    case = make_table_case(num_atoms=2, channels=1, cutoff=2.3, intervals=3)
    inputs = tuple(value.requires_grad_() for value in (case.table, case.s, make_x(case)))
    assert len(case.s) > 2
    assert torch.autograd.gradcheck(lambda *values: table_message(*values, case.graph), inputs)
    assert torch.autograd.gradgradcheck(lambda *values: table_message(*values, case.graph), inputs)


def test_third_derivatives_equal_those_of_the_reference_where_features_depend_on_the_coordinates() -> None:
    case = make_table_case(num_atoms=3, channels=2, cutoff=2.3)
    edges = edge_arguments(case.graph)
    results = []
    for op in (lambda t, s, x: table_message(t, s, x, case.graph), lambda *v: table_message_reference(*v, *edges)):
        table, s = case.table.clone().requires_grad_(), case.s.clone().requires_grad_()
        x = make_x(case) * (1 + table.sum().sin()) * s.sin().sum()
        value = op(table, s, op(table, s, x).sin()).sin().sum()
        for _ in range(2):
            gradients = torch.autograd.grad(value, (table, s), create_graph=True)
            value = sum((features(*g.shape, seed=2) * g).mean() for g in gradients)
        results.append(torch.autograd.grad(value, (table, s)))
    torch.testing.assert_close(*results, rtol=1e-7, atol=1e-9)


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    case = make_table_case(num_atoms=3, channels=3)
    inputs = [value.requires_grad_() for value in (case.table, case.s, make_x(case))]
    edges = edge_arguments(case.graph)
    torch.library.opcheck(torch.ops.torchmdnet.table_message.default, (*inputs, *edges))
    grad = make_x(case).cos().requires_grad_()
    torch.library.opcheck(torch.ops.torchmdnet.table_message_backward.default, (grad, *inputs, *edges))


# Padding sits at the cutoff, where weights are zero; the native ops would leave it out anywhere.
@pytest.mark.parametrize("s", [0.0, pytest.param(1.5, marks=needs_native)])
def test_leaves_padding_out(s: float) -> None:
    case = make_table_case()
    results = []
    for each in (case, padded_case(case, s=s)):
        x, coordinates = make_x(case).requires_grad_(), each.s.clone().requires_grad_()
        value = table_message(each.table, coordinates, x, each.graph)
        gradients = torch.autograd.grad(value.sin().sum(), (x, coordinates), create_graph=True)
        (second,) = torch.autograd.grad(sum(gradient.sin().sum() for gradient in gradients), x)
        results.append((value, *gradients, second))
    for plain, longer in zip(*results, strict=True):
        torch.testing.assert_close(longer[: len(plain)], plain, rtol=1e-11, atol=1e-11)
        assert not longer[len(plain) :].any()


@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_give_few_rows(num_atoms: int) -> None:
    case = make_table_case(num_atoms=num_atoms, cutoff=1.0, loop=False)
    assert len(case.s) == 0
    inputs = [value.requires_grad_() for value in (case.table, case.s, make_x(case))]
    out = table_message(*inputs, case.graph)
    assert out.shape == (9, num_atoms, 5)
    assert not out.any()
    gradients = torch.autograd.grad(out.sum(), inputs, create_graph=True)
    assert [gradient.shape for gradient in gradients] == [value.shape for value in inputs]


def test_no_channels_give_no_columns() -> None:
    case = make_table_case(channels=0)
    assert table_message(case.table, case.s, make_x(case), case.graph).shape == (9, 7, 0)


def test_takes_inputs_in_any_memory_order() -> None:
    case = make_table_case()
    x = make_x(case)
    strided = [value.transpose(0, -1).contiguous().transpose(0, -1) for value in (case.table, x)]
    s = torch.stack([case.s, case.s], 1)[:, 0]
    assert not any(value.is_contiguous() for value in (*strided, s))
    expected = table_message(case.table, case.s, x, case.graph)
    assert torch.equal(table_message(strided[0], s, strided[1], case.graph), expected)
    stretched = x[:, :, :1].expand(9, 7, 5)
    torch.testing.assert_close(
        table_message(case.table, case.s, stretched, case.graph),
        table_message(case.table, case.s, stretched.contiguous(), case.graph),
    )


def test_any_number_of_threads_gives_the_same_bits() -> None:
    case = make_table_case(num_atoms=40, channels=48, dtype=torch.float32, cutoff=1.2)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            s, x = case.s.clone().requires_grad_(), make_x(case, dtype=torch.float32).requires_grad_()
            out = table_message(case.table, s, x, case.graph)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), (s, x))))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@pytest.mark.parametrize("s", [-1e6, 1e6, float("nan")])
def test_a_coordinate_far_outside_reads_the_table_within_bounds(s: float) -> None:
    case = make_table_case()
    far, x = torch.full_like(case.s, s), make_x(case)
    out = table_message(case.table, far, x, case.graph)
    assert bool(out.isfinite().all()) is not (s != s)


@pytest.mark.parametrize("wrong", ["table parts", "table channels", "coefficients", "no intervals", "s", "s axes"])
def test_says_which_table_and_coordinates_go_together(wrong: str) -> None:
    case = make_table_case()
    table, s = {
        "table parts": (case.table[:, :, :2], case.s),
        "table channels": (case.table[..., :4], case.s),
        "coefficients": (case.table[:, :3], case.s),
        "no intervals": (case.table[:0], case.s),
        "s": (case.table, case.s[1:]),
        "s axes": (case.table, case.s[:, None]),
    }[wrong]
    with pytest.raises(ValueError, match=r"want table \(M, 6, 3, C\) and s \(P,\) with M >= 1, C = 5 and P = \d+, not"):
        table_message(table, s, make_x(case), case.graph)


@pytest.mark.parametrize("shape", [(8, 7, 5), (9, 6, 5), (9, 5)])
def test_says_which_features_it_wants(shape: tuple[int, ...]) -> None:
    case = make_table_case()
    with pytest.raises(ValueError, match=r"want x \(9, N, C\) with N = 7, not"):
        table_message(case.table, case.s, torch.zeros(shape, dtype=torch.float64), case.graph)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "contiguous and of one type"),
        (0, lambda t: t[:, :, :2].contiguous(), r"table must have shape \(M, 6, 3, C\)"),
        (0, lambda t: t[:0].contiguous(), "with M of 1 to 16777215"),
        (1, lambda t: t[:, None].contiguous(), r"s must have shape \(P,\)"),
        (1, lambda t: t[:-1].contiguous(), "an edge's pair has no row"),
        (2, lambda t: t[:8], r"x must have shape \(9, N, C\)"),
        (2, lambda t: t.permute(0, 2, 1), "contiguous and of one type"),
        (4, lambda t: t + 100, "a sender is not an atom"),
        (4, lambda t: t.long(), "must be contiguous int32 vectors"),
        (5, lambda t: t[:-1].contiguous(), "not of one graph"),
        (6, lambda t: t - 1, "an edge's pair has no row"),
    ],
)
def test_the_bare_ops_refuse_what_would_read_out_of_bounds(position: int, change: object, text: str) -> None:
    case = make_table_case()
    inputs = [case.table, case.s, make_x(case), *edge_arguments(case.graph)]
    inputs[position] = change(inputs[position])  # type: ignore[operator]
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_message(*inputs)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_message_backward(make_x(case), *inputs)


@needs_native
def test_the_bare_gradient_refuses_another_shape() -> None:
    case = make_table_case()
    x = make_x(case)
    with pytest.raises(RuntimeError, match="grad must be contiguous and of x's shape and type"):
        torch.ops.torchmdnet.table_message_backward(x[:, 1:], case.table, case.s, x, *edge_arguments(case.graph))
