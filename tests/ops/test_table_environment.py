"""Surroundings with tabulated weights equal surroundings with interpolated weights, derivatives included."""

from typing import NamedTuple

import pytest
import torch
from table_cases import TableCase, edge_arguments, features, make_table_case, padded_case
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops import native
from torchmdnet.ops.radial_table import interpolate
from torchmdnet.ops.table_environment import (
    table_environment,
    table_environment_backward_reference,
    table_environment_reference,
)
from torchmdnet.ops.tensor_environment import tensor_environment

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


class Inputs(NamedTuple):
    """In the order of the bare op."""

    table: Tensor
    s: Tensor
    components: Tensor
    own: Tensor
    other: Tensor

    def tracked(self) -> "Inputs":
        return Inputs(*(value.detach().clone().requires_grad_() for value in self))


def make_inputs(case: TableCase) -> Inputs:
    channels, dtype, num_atoms = case.table.shape[-1], case.s.dtype, len(case.graph.row_ptr) - 1
    return Inputs(
        case.table,
        case.s,
        features(len(case.graph.sender), 9, seed=1, dtype=dtype),
        features(num_atoms, channels, seed=2, dtype=dtype),
        features(num_atoms, channels, seed=3, dtype=dtype),
    )


def run(inputs: Inputs, graph: Graph) -> Tensor:
    table, s, components, own, other = inputs
    return table_environment(table, s, components=components, own=own, other=other, graph=graph)


@pytest.mark.parametrize("channels", [1, 7, 8, 16, 37])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_equals_surroundings_with_interpolated_weights(channels: int, dtype: torch.dtype, tolerance: float) -> None:
    case = make_table_case(channels=channels, dtype=dtype)
    table, s, components, own, other = inputs = make_inputs(case)
    expected = tensor_environment(interpolate(table, s), components, own=own, other=other, graph=case.graph)
    torch.testing.assert_close(run(inputs, case.graph), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("channels", [1, 8, 37])
@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_gradients_equal_those_of_the_reference(
    channels: int, loop: bool, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_table_case(channels=channels, dtype=dtype, loop=loop)
    grad = features(9, 7, channels, seed=4, dtype=dtype)
    arguments = (grad, *make_inputs(case), *edge_arguments(case.graph))
    ours = torch.ops.torchmdnet.table_environment_backward(*arguments)
    reference = table_environment_backward_reference(*arguments)
    torch.testing.assert_close(ours, reference, atol=tolerance, rtol=tolerance)


def test_the_gradient_reference_is_the_derivative_of_the_reference() -> None:
    case = make_table_case()
    inputs, edges = make_inputs(case).tracked(), edge_arguments(case.graph)
    grad = features(9, 7, 5, seed=4)
    by_s, by_components = torch.autograd.grad(
        (table_environment_reference(*inputs, *edges) * grad).sum(), (inputs.s, inputs.components)
    )
    got = table_environment_backward_reference(grad, *inputs, *edges)
    torch.testing.assert_close(got, (by_components, by_s))


def test_has_first_and_second_derivatives_by_all_inputs() -> None:
    case = make_table_case(num_atoms=2, channels=1, cutoff=2.0, intervals=3)
    inputs = make_inputs(case).tracked()
    assert len(case.s) > 2
    assert torch.autograd.gradcheck(lambda *values: run(Inputs(*values), case.graph), tuple(inputs))
    assert torch.autograd.gradgradcheck(lambda *values: run(Inputs(*values), case.graph), tuple(inputs))


def test_third_derivatives_equal_those_of_the_reference_where_inputs_depend_on_each_other() -> None:
    case = make_table_case(num_atoms=3, channels=2, cutoff=2.3)
    edges, results = edge_arguments(case.graph), []
    for op in (lambda *values: run(Inputs(*values), case.graph), lambda *v: table_environment_reference(*v, *edges)):
        table, s, components, own, _ = make_inputs(case).tracked()
        made_own = own.sin() * (1 + table.sum().sin()) * s.cos().sum()
        value = op(table, s, components * (1 + s.sum().sin()), made_own, made_own.cos() * own).sin().sum()
        leaves = (table, s, components, own)
        for _ in range(2):
            gradients = torch.autograd.grad(value, leaves, create_graph=True)
            value = sum((features(*g.shape, seed=5) * g).mean() for g in gradients)
        results.append(torch.autograd.grad(value, leaves))
    torch.testing.assert_close(*results, rtol=1e-7, atol=1e-9)


@needs_native
def test_passes_torchs_own_checks_of_an_operator() -> None:
    case = make_table_case(num_atoms=3, channels=3)
    inputs, edges = make_inputs(case).tracked(), edge_arguments(case.graph)
    torch.library.opcheck(torch.ops.torchmdnet.table_environment.default, (*inputs, *edges))
    grad = features(9, 3, 3, seed=4).requires_grad_()
    torch.library.opcheck(torch.ops.torchmdnet.table_environment_backward.default, (grad, *inputs, *edges))


# Padding sits at the cutoff, where weights are zero; the native ops would leave it out anywhere.
@pytest.mark.parametrize("s", [0.0, pytest.param(1.5, marks=needs_native)])
def test_leaves_padding_out(s: float) -> None:
    case, results = make_table_case(), []
    longer = padded_case(case, s=s)
    plain = make_inputs(case)
    more = plain._replace(s=longer.s, components=torch.cat([plain.components, features(5, 9, seed=6)]))
    for inputs, graph in ((plain.tracked(), case.graph), (more.tracked(), longer.graph)):
        value = run(inputs, graph)
        gradients = torch.autograd.grad(value.sin().sum(), inputs[1:], create_graph=True)
        second = torch.autograd.grad(sum(gradient.sin().sum() for gradient in gradients), inputs[2:])
        results.append((value, *gradients, *second))
    for expected, ours in zip(*results, strict=True):
        rows = len(expected)
        torch.testing.assert_close(ours[:rows], expected, rtol=1e-11, atol=1e-11)
        assert not ours[rows:].any()


@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_give_few_rows(num_atoms: int) -> None:
    case = make_table_case(num_atoms=num_atoms, cutoff=1.0, loop=False)
    assert len(case.s) == 0
    inputs = make_inputs(case).tracked()
    out = run(inputs, case.graph)
    assert out.shape == (9, num_atoms, 5)
    assert not out.any()
    gradients = torch.autograd.grad(out.sum(), inputs, create_graph=True)
    assert [gradient.shape for gradient in gradients] == [value.shape for value in inputs]


def test_no_channels_give_no_columns() -> None:
    case = make_table_case(channels=0)
    inputs = make_inputs(case).tracked()
    out = run(inputs, case.graph)
    assert out.shape == (9, 7, 0)
    assert not any(gradient.any() for gradient in torch.autograd.grad(out.sum(), inputs))


def test_takes_inputs_in_any_memory_order() -> None:
    case = make_table_case()
    inputs = make_inputs(case)
    strided = [value.transpose(0, -1).contiguous().transpose(0, -1) for value in inputs]
    strided[1] = torch.stack([case.s, case.s], 1)[:, 0]
    assert not any(value.is_contiguous() for value in strided)
    assert torch.equal(run(Inputs(*strided), case.graph), run(inputs, case.graph))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    case = make_table_case(num_atoms=40, channels=48, dtype=torch.float32, cutoff=1.2)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            inputs = make_inputs(case).tracked()
            out = run(inputs, case.graph)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), (inputs.s, inputs.components))))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@pytest.mark.parametrize("wrong", ["table channels", "s", "components", "components rows", "own", "other"])
def test_says_which_shapes_go_together(wrong: str) -> None:
    case = make_table_case()
    inputs = make_inputs(case)
    changed = {
        "table channels": {"table": inputs.table[..., :4]},
        "s": {"s": inputs.s[1:]},
        "components": {"components": inputs.components[:, :8]},
        "components rows": {"components": inputs.components[1:]},
        "own": {"own": inputs.own[1:]},
        "other": {"other": inputs.other[:, :4]},
    }[wrong]
    text = (
        r"want table \(M, 6, 3, C\)" if wrong in ("table channels", "s") else r"want components \(E, 9\), own and oth"
    )
    with pytest.raises(ValueError, match=text):
        run(inputs._replace(**changed), case.graph)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "contiguous and of one type"),
        (0, lambda t: t[:, :, :2].contiguous(), r"table must have shape \(M, 6, 3, C\)"),
        (1, lambda t: t[:-1].contiguous(), "an edge's pair has no row"),
        (2, lambda t: t[:, :8].contiguous(), r"want y \(E, 9\), own and other \(N, C\)"),
        (2, lambda t: t[:-1], r"want y \(E, 9\), own and other \(N, C\)"),
        (3, lambda t: t[:-1], r"want y \(E, 9\), own and other \(N, C\)"),
        (4, lambda t: t.t(), "contiguous and of one type"),
        (6, lambda t: t + 100, "a sender is not an atom"),
        (7, lambda t: t.flip(0), "not of one graph"),
        (8, lambda t: t + 1, "an edge's pair has no row"),
    ],
)
def test_the_bare_ops_refuse_what_would_read_out_of_bounds(position: int, change: object, text: str) -> None:
    case = make_table_case()
    inputs = [*make_inputs(case), *edge_arguments(case.graph)]
    inputs[position] = change(inputs[position])  # type: ignore[operator]
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_environment(*inputs)
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.table_environment_backward(features(9, 7, 5, seed=4), *inputs)


@needs_native
def test_the_bare_gradient_refuses_another_shape() -> None:
    case = make_table_case()
    with pytest.raises(RuntimeError, match=r"grad must be contiguous, of shape \(9, N, C\)"):
        torch.ops.torchmdnet.table_environment_backward(
            features(9, 6, 5, seed=4), *make_inputs(case), *edge_arguments(case.graph)
        )
