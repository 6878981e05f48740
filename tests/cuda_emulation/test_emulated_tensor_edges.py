"""The CUDA ops on edges with a weight for each pair or edge, run on the CPU: the same as those for it."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from emulated_ops import EmulatedFirst
from half_graphs import half_of
from random_systems import dense_system, make_system
from tensor_op_cases import PairGraph, numbers, pair_graph
from tensor_op_cases import results as all_results
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmdnet.ops import tensor_message as message_ops
from torchmdnet.ops.edge_message import edge_message
from torchmdnet.ops.tensor_environment import tensor_environment
from torchmdnet.ops.tensor_message import tensor_message, tensor_message_weight

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}
ADJOINTS = ("tensor_message_weight", "tensor_environment_backward")


def results(ops: Any, case: PairGraph) -> dict[str, list[Tensor]]:
    return all_results(ops, case.calls())


def assert_equals_cpu(ops: Any, case: PairGraph) -> None:
    tolerance = TOLERANCE[case.weight.dtype]
    ours, theirs = results(ops, case), results(torch.ops.torchmdnet, case)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("channels", [1, 5, 32, 34, 64, 66, 68, 129, 136])
def test_any_number_of_channels_gives_what_the_cpu_gives(ops: Any, channels: int, dtype: torch.dtype) -> None:
    assert_equals_cpu(ops, pair_graph(channels=channels, dtype=dtype))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("kind", ["open", "plain", "skewed", "thin", "tiny"])
def test_any_graph_gives_what_the_cpu_gives(ops: Any, kind: str, loop: bool) -> None:
    assert_equals_cpu(ops, pair_graph(kind, loop=loop))


def many_atoms(channels: int, dtype: torch.dtype = torch.float64, *, loop: bool = True) -> PairGraph:
    """More atoms than the ops give several warps each, or a group of their own, with few neighbours."""
    system = dense_system(1, 2100, density=0.01, pbc=(True, True, True))
    return pair_graph(channels=channels, dtype=dtype, system=system, loop=loop)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("channels", [5, 136])
def test_many_atoms_give_what_the_cpu_gives(ops: Any, channels: int, loop: bool) -> None:
    assert_equals_cpu(ops, many_atoms(channels, loop=loop))


@pytest.mark.parametrize("channels", [5, 40])
def test_padding_changes_nothing_and_gets_zero(ops: Any, channels: int) -> None:
    plain = pair_graph(channels=channels)
    longer = pair_graph(channels=channels, capacity=len(plain.graph.sender) + 300)
    num_edges, num_pairs = len(plain.graph.sender), len(plain.weight)
    assert len(longer.weight) > num_pairs
    longer = longer._replace(
        **{name: getattr(plain, name) for name in ("x", "own", "other", "grad")},
        weight=torch.cat([plain.weight, longer.weight[num_pairs:]]),
        y=torch.cat([plain.y, longer.y[num_edges:]]),
    )
    expected, found = results(ops, plain), results(ops, longer)
    for name in expected:
        for one, other in zip(expected[name], found[name], strict=True):
            if one.shape == other.shape:
                assert torch.equal(one, other)
            else:
                assert torch.equal(one, other[: len(one)])
                assert not other[len(one) :].any()


@pytest.mark.parametrize(
    ("kind", "loop", "channels"), [("plain", True, 136), ("plain", True, 5), ("plain", False, 5), ("thin", False, 5)]
)
def test_gives_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, kind: str, loop: bool, channels: int) -> None:
    case = pair_graph(kind, channels=channels, dtype=torch.float32, loop=loop)
    assert_same_bits(kernels, ops, case)


@pytest.mark.parametrize("channels", [5, 68])
def test_many_atoms_give_the_same_bits_in_any_order(kernels: ModuleType, ops: Any, channels: int) -> None:
    assert_same_bits(kernels, ops, many_atoms(channels, torch.float32), seeds=(1,))


def assert_same_bits(kernels: ModuleType, ops: Any, case: PairGraph, *, seeds: tuple[int, ...] = (1, 2)) -> None:
    """Numbers of such different size that every other order of a sum would be seen."""
    case = case._replace(grad=case.grad * 10 ** torch.linspace(-6, 6, case.grad.shape[1])[:, None])
    once = results(ops, case)
    for seed in seeds:
        kernels.set_seed(seed)
        for name, found in results(ops, case).items():
            assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


def test_arrays_that_begin_anywhere_are_read_in_smaller_pieces(ops: Any) -> None:
    case = pair_graph(channels=68, dtype=torch.float32)
    for offset in (1, 2):
        moved: dict[str, Any] = {}
        for name in case._fields[1:]:
            value = getattr(case, name)
            moved[name] = torch.cat([value.new_zeros(offset), value.flatten()])[offset:].view(value.shape)
            assert moved[name].data_ptr() % 16
        assert_equals_cpu(ops, case._replace(**moved))


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize(("num_atoms", "capacity"), [(0, None), (1, None), (1, 3)])
def test_few_atoms_give_few_rows(ops: Any, num_atoms: int, loop: bool, capacity: int | None) -> None:
    system = make_system(torch.zeros((num_atoms, 3), dtype=torch.float64), num=1)
    assert_equals_cpu(ops, pair_graph(loop=loop, capacity=capacity, system=system))


def test_no_channels_give_no_columns(ops: Any) -> None:
    assert_equals_cpu(ops, pair_graph(channels=0, capacity=4000))


def spoiled(case: PairGraph, array: str, value: int) -> tuple[PairGraph, int]:
    """With another number in the place of one edge of two atoms; and the edge."""
    edge = int(torch.nonzero(case.graph.receiver != case.graph.sender)[3])
    broken = getattr(case.graph, array).clone()
    broken[edge] = value
    return case._replace(graph=case.graph._replace(**{array: broken})), edge


def atoms_with_nan(found: Tensor) -> list[int]:
    """Of features whose last axes are atoms and channels."""
    rows: Tensor = found.isnan().any(-1)
    return (rows.any(0) if rows.ndim == 2 else rows).nonzero().flatten().tolist()


@pytest.mark.parametrize("array", ["sender", "pair"])
@pytest.mark.parametrize("value", [-1, 10**6])
def test_an_index_that_is_none_gives_nan_to_its_atom(ops: Any, array: str, value: int) -> None:
    whole = pair_graph()
    case, edge = spoiled(whole, array, value)
    atom, pair = int(whole.graph.receiver[edge]), int(whole.graph.pair[edge])
    found = results(ops, case)
    for name in ("tensor_message", "edge_message", "tensor_environment"):
        assert atoms_with_nan(found[name][0]) == [atom]
    (by_weight,) = found["tensor_message_weight"]
    assert by_weight.isnan().any(2).any(1).nonzero().flatten().tolist() == [pair]
    assert found["edge_message_weight"][0].isnan().any(2).any(1).nonzero().flatten().tolist() == [edge]
    to_y, to_weight, to_own, to_other = found["tensor_environment_backward"]
    both = sorted({atom, int(whole.graph.sender[edge])})
    # The reverse edge has lost its own reverse.
    assert atoms_with_nan(to_own) == atoms_with_nan(to_other) == both
    assert atoms_with_nan(found["edge_message_transpose"][0]) == both
    assert int(to_y.isnan().all(1).sum()) == 2
    assert to_weight.isnan().any(2).any(1).nonzero().flatten().tolist() == [pair]


def test_an_edge_without_its_reverse_gives_nan(ops: Any) -> None:
    whole = pair_graph()
    edge = int(torch.nonzero(whole.graph.receiver != whole.graph.sender)[3])
    i, j = int(whole.graph.receiver[edge]), int(whole.graph.sender[edge])
    stranger = next(k for k in range(len(whole.own)) if k not in (i, j))
    case, _ = spoiled(whole, "sender", stranger)
    found = results(ops, case)
    _, _, to_own, to_other = found["tensor_environment_backward"]
    assert j in atoms_with_nan(to_own)
    assert j in atoms_with_nan(to_other)
    (by_weight,) = found["tensor_message_weight"]
    assert by_weight[int(whole.graph.pair[edge])].isnan().all()


@pytest.mark.parametrize("direction", [1, -1])
def test_half_a_list_has_no_derivative_by_the_weight(ops: Any, direction: int) -> None:
    whole = pair_graph()
    graph = half_of(whole.graph, direction)
    found = ops.tensor_message_weight(whole.x, whole.grad, graph.sender, graph.row_ptr, graph.pair, whole.weight)
    of_two_atoms = torch.zeros(len(whole.weight), dtype=torch.bool)
    of_two_atoms[graph.pair[graph.sender != graph.receiver].long()] = True
    assert of_two_atoms.any()
    assert torch.equal(found.isnan().all(2).all(1), of_two_atoms)


def test_launches_few_kernels_and_waits_for_nothing(kernels: ModuleType, ops: Any) -> None:
    launches = {"tensor_message_weight": 4, "edge_message_transpose": 2, "tensor_environment_backward": 4}
    for name, lists in pair_graph(channels=136).calls().items():
        getattr(ops, name)(*lists[0])
        assert kernels.count_launches() == launches.get(name, 1)
    assert kernels.count_waits() == 0


# Derivatives of the functions around the ops


@pytest.fixture(scope="module")
def differentiable(kernels: ModuleType) -> None:
    """The emulated messages know their derivatives as those for the CPU do."""
    del kernels
    for name, backward in (
        ("tensor_message", message_ops._message_backward),
        ("tensor_message_weight", message_ops._weight_backward),
    ):
        full_name = f"torchmdnet_emulated::{name}"
        torch.library.register_autograd(full_name, backward, setup_context=message_ops._keep_inputs)


@pytest.fixture
def small(
    kernels: ModuleType, ops: Any, differentiable: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[PairGraph, list[Tensor]]]:
    """A graph and leaves, with the emulated ops in the place of those for the CPU."""
    del ops, differentiable
    system = make_system(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1.2, 0.3]], dtype=torch.float64))
    system = system._replace(box=2.2 * torch.eye(3, dtype=torch.float64)[None])
    case = pair_graph(channels=1, system=system)
    monkeypatch.setattr(torch.ops, "torchmdnet", EmulatedFirst())
    yield case, [part.requires_grad_() for part in case[1:]]
    assert kernels.count_launches() > 0


def test_derivatives_of_messages_are_right(small: tuple[PairGraph, list[Tensor]]) -> None:
    case, (weight, x, *_) = small
    assert gradcheck(lambda weight, x: tensor_message(weight, x, case.graph), (weight, x))
    assert gradcheck(lambda x, y: tensor_message_weight(x, y, case.graph), (x, case.grad))


def test_second_derivatives_of_messages_are_right(small: tuple[PairGraph, list[Tensor]]) -> None:
    case, (weight, x, *_) = small
    assert gradgradcheck(lambda weight, x: tensor_message(weight, x, case.graph), (weight, x))


def test_derivatives_of_messages_with_a_weight_for_each_edge_are_right(
    small: tuple[PairGraph, list[Tensor]],
) -> None:
    case, (_, x, *_) = small
    weight = numbers(len(case.graph.sender), 3, 1).requires_grad_()
    assert gradcheck(lambda weight, x: edge_message(weight, x, case.graph), (weight, x))
    assert gradgradcheck(lambda weight, x: edge_message(weight, x, case.graph), (weight, x))


def test_derivatives_of_surroundings_are_right(small: tuple[PairGraph, list[Tensor]]) -> None:
    case, (weight, _, y, own, other, _) = small

    def run(weight: Tensor, y: Tensor, own: Tensor, other: Tensor) -> Tensor:
        return tensor_environment(weight, y, own=own, other=other, graph=case.graph)

    assert gradcheck(run, (weight, y, own, other))


@pytest.mark.usefixtures("ops")
def test_second_derivatives_of_surroundings_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    case = pair_graph(channels=3)

    def derivatives() -> list[Tensor]:
        inputs = [part.clone().requires_grad_() for part in (case.weight, case.y, case.own, case.other)]
        weight, y, own, other = inputs
        value = tensor_environment(weight, y, own=own, other=other, graph=case.graph)
        first = torch.autograd.grad((value * case.grad).sum(), inputs, create_graph=True)
        return [*first, *torch.autograd.grad(torch.stack([part.sin().sum() for part in first]).sum(), inputs)]

    expected = derivatives()
    monkeypatch.setattr(torch.ops, "torchmdnet", EmulatedFirst())
    torch.testing.assert_close(derivatives(), expected, rtol=1e-10, atol=1e-10)


# Errors

WRONG: dict[str, tuple[str, Callable[[Tensor], Tensor], str]] = {
    "type": ("sender", lambda index: index.long(), "sender, row_ptr and pair must be contiguous int32 vectors"),
    "pair": ("pair", lambda index: index[1:], "sender, row_ptr and pair are not of one graph"),
    "row_ptr": ("row_ptr", lambda index: index[1:], "sender, row_ptr and pair are not of one graph"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_wrong_edges(ops: Any, wrong: str) -> None:
    name, spoil, message = WRONG[wrong]
    case = pair_graph()
    case = case._replace(graph=case.graph._replace(**{name: spoil(getattr(case.graph, name))}))
    for op, lists in case.calls().items():
        with pytest.raises(RuntimeError, match=message):
            getattr(ops, op)(*lists[0])


ARRAYS: list[tuple[str, int, Callable[[Tensor], Tensor], str]] = [
    ("tensor_message", 0, lambda t: t.float(), "an array's type must be the same as the other's"),
    ("tensor_message", 0, lambda t: t[:, :, :2].contiguous(), r"weight must have shape \(P, 3, C\)"),
    ("tensor_message", 1, lambda t: t[:8], "a tensor has 9 components, not 8"),
    ("tensor_message_weight", 1, lambda t: t[:, 1:].contiguous(), "x and y must have one shape"),
    ("tensor_message_weight", 0, lambda t: t[0], "x must have three axes and be contiguous"),
    ("edge_message", 0, lambda t: t[1:], r"weight must have shape \(E, 3, C\)"),
    ("edge_message_transpose", 1, lambda t: t[:8], "a tensor has 9 components, not 8"),
    ("edge_message_weight", 1, lambda t: t[:, 1:].contiguous(), "x and y must have one shape"),
    ("tensor_environment", 0, lambda t: t[:, :8].contiguous(), r"want y \(E, 9\), weight \(P, 3, C\)"),
    ("tensor_environment", 2, lambda t: t.float(), "arrays must be contiguous and of one type"),
    ("tensor_environment_backward", 0, lambda t: t[:8], r"grad must be contiguous, of shape \(9, N, C\)"),
]


@pytest.mark.parametrize(("name", "place", "spoil", "message"), ARRAYS)
def test_refuses_wrong_arrays(ops: Any, name: str, place: int, spoil: Callable[[Tensor], Tensor], message: str) -> None:
    arguments = list(pair_graph().calls()[name][0])
    arguments[place] = spoil(arguments[place])
    with pytest.raises(RuntimeError, match=message):
        getattr(ops, name)(*arguments)
