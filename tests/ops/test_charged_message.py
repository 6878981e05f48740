"""Messages whose weights a network makes for each edge: the native op equals its reference, derivatives included."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from charged_cases import ChargedCase, Sizes, make_charged_case, maps_of
from padded_graphs import padded
from torch import Tensor

from torchmdnet.ops import charged_message as module
from torchmdnet.ops import native
from torchmdnet.ops.charged_message import (
    ChargedMaps,
    PairPolynomials,
    charged_message_reference,
    fixed_polynomials,
    table_polynomials,
)
from torchmdnet.ops.radial_table import interpolate

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")


@pytest.fixture(params=["kept", "made anew"])
def keeps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of the derivative to the last layer's numbers."""
    if request.param == "made anew":
        monkeypatch.setattr(module, "MOST_KEPT", -1)


def test_is_the_formula_edge_by_edge() -> None:
    case = make_charged_case()
    (rows, row, t), silu = case.polynomials, torch.nn.functional.silu
    expected = torch.zeros_like(case.y)
    edges = zip(case.graph.receiver.tolist(), case.graph.sender.tolist(), case.graph.pair.tolist(), strict=True)
    for i, j, pair in edges:
        known = sum(coefficient * t[pair] ** power for power, coefficient in enumerate(rows[int(row[pair])]))
        p = case.maps.second_transposed @ silu(known[:-1] + case.own[i] + case.other[j]) + case.maps.second_bias
        q = case.maps.third_transposed @ silu(p) + case.maps.third_bias
        weight = (known[-1] * silu(q)).view(3, -1)
        expected[:, i] += weight[[0, 1, 1, 1, 2, 2, 2, 2, 2]] * case.y[:, j]
    torch.testing.assert_close(case.run(), expected)
    torch.testing.assert_close(charged_message_reference(*case.arguments()), expected)


@pytest.mark.usefixtures("keeps")
@pytest.mark.parametrize(("sizes", "degrees"), [((1, 1, 1), 1), ((5, 6, 4), 6), ((37, 19, 21), 2), ((16, 32, 16), 6)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_values_and_gradients_equal_those_of_the_reference(
    sizes: Sizes, degrees: int, dtype: torch.dtype, tolerance: float
) -> None:
    case = make_charged_case(sizes=sizes, degrees=degrees, dtype=dtype)
    for value in case.inputs:
        value.requires_grad_()
    results = []
    for out in (case.run(), charged_message_reference(*case.arguments())):
        results.append((out, *torch.autograd.grad(out.sin().sum(), case.inputs)))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=tolerance, rtol=tolerance)


@pytest.mark.usefixtures("keeps")
@pytest.mark.parametrize("loop", [True, False])
def test_blocks_of_edges_end_anywhere(loop: bool) -> None:
    case = make_charged_case(num_atoms=30, loop=loop, cutoff=1.6)
    assert len(case.graph.sender) > 200
    for value in case.inputs:
        value.requires_grad_()
    results = [
        (out, *torch.autograd.grad(out.sin().sum(), case.inputs))
        for out in (case.run(), charged_message_reference(*case.arguments()))
    ]
    torch.testing.assert_close(*results, atol=1e-11, rtol=1e-11)


@pytest.mark.usefixtures("keeps")
def test_has_first_and_second_derivatives() -> None:
    case = make_charged_case(num_atoms=2, sizes=(2, 2, 1), cutoff=2.3)
    inputs = tuple(value.requires_grad_() for value in case.inputs)
    assert torch.autograd.gradcheck(lambda *values: case.at(*values).run(), inputs)
    assert torch.autograd.gradgradcheck(lambda *values: case.at(*values).run(), inputs)


def test_has_derivatives_by_polynomials_and_maps() -> None:
    case = make_charged_case(num_atoms=2, sizes=(2, 2, 1), cutoff=2.3)
    maps = case.maps
    weights = maps.second_transposed, maps.second_bias, maps.third_transposed, maps.third_bias
    inputs = tuple(value.requires_grad_() for value in (case.polynomials.rows, *weights, case.own))

    def run(rows: Tensor, *others: Tensor) -> Tensor:
        *weights, own = others
        polynomials = case.polynomials._replace(rows=rows)
        return case._replace(polynomials=polynomials, maps=maps_of(*weights), own=own).run()

    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_second_derivatives_equal_those_of_the_reference_where_inputs_depend_on_each_other() -> None:
    case = make_charged_case(num_atoms=3, cutoff=2.3)
    results = []
    for run in (ChargedCase.run, lambda case: charged_message_reference(*case.arguments())):
        t = case.polynomials.t.clone().requires_grad_()
        own = case.own * (1 + t.sum().sin())
        value = run(case.at(t, own, own.cos(), case.y * own.sum().sin())).sin().sum()
        (first,) = torch.autograd.grad(value, t, create_graph=True)
        results.append((first, *torch.autograd.grad(first.sin().sum(), t)))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)


@needs_native
def test_passes_torchs_own_checks_of_operators() -> None:
    case = make_charged_case(num_atoms=3)
    for value in case.inputs:
        value.requires_grad_()
    *arrays, receiver, sender, row_ptr, pair = case.arguments()
    edges = receiver, sender, row_ptr, pair
    ops = torch.ops.torchmdnet
    for keeps in (True, False):
        torch.library.opcheck(ops.charged_message.default, (*arrays, *edges, keeps))
        kept = ops.charged_message(*arrays, *edges, keeps)[1].detach()
        grad = case.y.detach().cos().requires_grad_()
        torch.library.opcheck(ops.charged_message_backward.default, (grad, *arrays, kept, *edges))


def test_a_table_gives_its_interpolated_numbers() -> None:
    case = make_charged_case()
    table = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    s = torch.linspace(-0.3, 4.4, len(case.polynomials.t), dtype=torch.float64).requires_grad_()
    known = interpolate(table, s)
    both = table_polynomials(table, s), fixed_polynomials(known, None, case.graph.pair_distance)
    results = []
    for polynomials in both:
        out = case._replace(polynomials=polynomials).run()
        results.append((out, *torch.autograd.grad(out.sin().sum(), s)))
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


def test_known_slopes_give_the_gradient_by_the_distance() -> None:
    case = make_charged_case()
    distance = torch.linspace(0.5, 2.0, len(case.polynomials.t), dtype=torch.float64).requires_grad_()
    rates = torch.linspace(0.5, 1.5, 6, dtype=torch.float64)
    value = torch.exp(-distance[:, None] * rates)
    both = (
        fixed_polynomials(value.detach(), (-rates * value).detach(), distance),
        fixed_polynomials(value, None, distance),
    )
    results = []
    for polynomials in both:
        out = case._replace(polynomials=polynomials).run()
        results.append((out, *torch.autograd.grad(out.sin().sum(), distance)))
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


@needs_native
@pytest.mark.usefixtures("keeps")
def test_leaves_padding_out() -> None:
    case = make_charged_case()
    graph = padded(case.graph, 5, cutoff=2.5)
    rows, row, t = case.polynomials
    polynomials = PairPolynomials(rows, torch.cat([row, row[:1]]), torch.cat([t, t[:1]]))
    results = []
    for each in (case, case._replace(graph=graph, polynomials=polynomials)):
        inputs = [value.clone().requires_grad_() for value in each.inputs]
        out = each.at(*inputs).run()
        results.append((out, *torch.autograd.grad(out.sin().sum(), inputs)))
    (plain, by_t, *others), (longer, by_longer_t, *longer_others) = results
    assert torch.equal(longer, plain)
    assert torch.equal(by_longer_t[:-1], by_t)
    assert not by_longer_t[-1]
    assert all(torch.equal(one, other) for one, other in zip(others, longer_others, strict=True))


@pytest.mark.usefixtures("keeps")
@pytest.mark.parametrize("num_atoms", [0, 1])
def test_few_atoms_give_few_rows(num_atoms: int) -> None:
    case = make_charged_case(num_atoms=num_atoms, cutoff=1.0, loop=False)
    assert len(case.graph.sender) == 0
    inputs = [value.requires_grad_() for value in case.inputs]
    out = case.run()
    assert out.shape == (9, num_atoms, 4)
    assert not out.any()
    gradients = torch.autograd.grad(out.sum(), inputs, create_graph=True)
    assert [gradient.shape for gradient in gradients] == [value.shape for value in inputs]
    assert not any(gradient.any() for gradient in gradients)


def test_takes_inputs_in_any_memory_order() -> None:
    case = make_charged_case()
    own, other, y = (value.transpose(0, -1).contiguous().transpose(0, -1) for value in case.inputs[1:])
    maps = ChargedMaps(*(value.t().contiguous().t() for value in case.maps))
    assert not any(value.is_contiguous() for value in (own, other, y, maps.third))
    torch.testing.assert_close(case._replace(own=own, other=other, y=y, maps=maps).run(), case.run())


@pytest.mark.usefixtures("keeps")
def test_any_number_of_threads_gives_the_same_bits() -> None:
    case = make_charged_case(num_atoms=40, sizes=(19, 40, 24), dtype=torch.float32, cutoff=1.6)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            inputs = [value.clone().requires_grad_() for value in case.inputs]
            out = case.at(*inputs).run()
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), inputs)))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], result, strict=True))


@needs_native
def test_keeps_nothing_of_edges_and_channels_but_what_it_is_asked_to() -> None:
    *arrays, receiver, sender, row_ptr, pair = make_charged_case().arguments()
    op = torch.ops.torchmdnet.charged_message
    sizes = [op(*arrays, receiver, sender, row_ptr, pair, keeps)[1].shape for keeps in (True, False)]
    assert sizes == [(len(sender), 12), (0, 12)]


def test_other_types_take_the_reference() -> None:
    case = make_charged_case()
    maps = ChargedMaps(*(value.bfloat16() for value in case.maps))
    rows, row, t = case.polynomials
    low = case._replace(polynomials=PairPolynomials(rows.bfloat16(), row, t.bfloat16()), maps=maps)
    assert low.at(t.bfloat16(), *(value.bfloat16() for value in case.inputs[1:])).run().dtype == torch.bfloat16


WRONG: dict[str, tuple[Callable[[ChargedCase], ChargedCase], str]] = {
    "y": (lambda case: case._replace(y=case.y[:8]), r"want y \(9, 7, 4\), not \(8, 7, 4\)"),
    "own": (lambda case: case._replace(own=case.own[1:]), r"want own \(7, 5\), not \(6, 5\)"),
    "rows": (
        lambda case: case._replace(polynomials=case.polynomials._replace(rows=case.polynomials.rows[..., 1:])),
        r"want rows \(6, 3, 6\), not \(6, 3, 5\)",
    ),
    "t": (
        lambda case: case._replace(polynomials=case.polynomials._replace(t=case.polynomials.t[1:])),
        r"want t \(\d+,\), not",
    ),
    "third": (
        lambda case: case._replace(maps=case.maps._replace(third=case.maps.third[:, 1:])),
        r"want third \(6, 12\), not \(6, 11\)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_says_which_shapes_go_together(wrong: str) -> None:
    spoil, text = WRONG[wrong]
    with pytest.raises(ValueError, match=text):
        spoil(make_charged_case()).run()


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t.float(), "arrays must be contiguous and of one type"),
        (0, lambda t: t[:, :0], r"want rows \(M, K, A \+ 1\) with K >= 1"),
        (1, lambda t: t.long(), "row must be a contiguous int32 vector"),
        (1, lambda t: 3 - t, "a pair's polynomial has no row"),
        (1, lambda t: t + 3, "a pair's polynomial has no row"),
        (5, lambda t: t.half(), "y must be float32 or float64"),
        (6, lambda t: t.t(), "maps must be contiguous"),
        (7, lambda t: t[1:], r"second_transposed \(B, A\)"),
        (9, lambda t: t[:, 1:].contiguous(), r"third \(B, 3 C\)"),
        (13, lambda t: t + 100, "a sender is not an atom"),
        (15, lambda t: t - 1, "an edge's pair has no row"),
    ],
)
def test_the_bare_op_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Tensor], Tensor], text: str
) -> None:
    inputs: list[Any] = [*make_charged_case().arguments(), True]
    inputs[position] = change(inputs[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.charged_message(*inputs)


@needs_native
@pytest.mark.parametrize(
    ("position", "change", "text"),
    [
        (0, lambda t: t[:, 1:].contiguous(), "grad must be contiguous and of y's shape and type"),
        (13, lambda t: t[1:], r"kept must be contiguous, of shape \(E, 3 C\) or \(0, 3 C\)"),
        (17, lambda t: t.clamp(max=2), "an edge has no reverse of the same pair"),
    ],
)
def test_the_bare_derivative_refuses_what_would_read_out_of_bounds(
    position: int, change: Callable[[Tensor], Tensor], text: str
) -> None:
    case = make_charged_case()
    *arrays, receiver, sender, row_ptr, pair = case.arguments()
    kept = torch.zeros((len(sender), 12), dtype=torch.float64)
    inputs = [case.y.cos(), *arrays, kept, receiver, sender, row_ptr, pair]
    inputs[position] = change(inputs[position])
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchmdnet.charged_message_backward(*inputs)
