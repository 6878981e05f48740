"""Ops called one by one: as the dispatcher's ops in all numbers, and seen by whoever wants to see them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck
from torch.fx.experimental.proxy_tensor import make_fx

from torchmdnet.ops import eager, native
from torchmdnet.ops.part_norms import part_norms

X = torch.linspace(-2, 2, 9 * 4 * 2, dtype=torch.float64).view(9, 4, 2)
registered = torch.ops.torchmdnet.part_norms


def call(x: Tensor) -> Tensor:
    result: Tensor = native.call("part_norms", x)
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_and_two_derivatives_are_those_of_the_op(dtype: torch.dtype) -> None:
    found: list[list[Tensor]] = []
    for function in (call, registered):
        x = X.to(dtype, copy=True).requires_grad_()
        y = function(x)
        (first,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.cos().sum(), x)
        found.append([y, first, second])
    for ours, expected in zip(*found, strict=True):
        assert torch.equal(ours, expected)


def test_derivatives_are_finite_differences() -> None:
    x = X.clone().requires_grad_()
    assert gradcheck(call, x)
    assert gradgradcheck(call, x)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_nothing_is_recorded_where_gradients_are_off(context: Callable[[], AbstractContextManager[None]]) -> None:
    x = X.clone().requires_grad_()
    with context():
        y = call(x)
    assert not y.requires_grad
    assert torch.equal(y, call(x))


def test_nothing_is_recorded_where_no_input_tracks_gradients() -> None:
    assert call(X).grad_fn is None


def test_no_rows_have_no_gradient() -> None:
    x = X[:, :0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(call(x).sum(), x)
    assert slope.shape == (9, 0, 2)


class Seen(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the ops that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, op: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        self.names.append(str(op))
        return op(*arguments, **(named or {}))


def test_a_mode_sees_the_op_and_its_derivative() -> None:
    x = X.clone().requires_grad_()
    with Seen() as seen:
        torch.autograd.grad(call(x).sum(), x)
    wanted = ["torchmdnet.part_norms.default", "torchmdnet.part_norms_backward.default"]
    assert [name for name in seen.names if name.startswith("torchmdnet")] == wanted


def compiled(x: Tensor) -> Iterator[str]:
    graphs: list[str] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        graphs.append(graph.print_readable(print_output=False))
        return graph

    torch._dynamo.reset()
    torch.compile(part_norms, fullgraph=True, backend=backend)(x)
    return iter(graphs)


def traced(x: Tensor) -> Iterator[str]:
    return iter([str(make_fx(part_norms)(x).graph)])


def scripted(x: Tensor) -> Iterator[str]:
    return iter([str(torch.jit.trace(part_norms, (x,), check_trace=False).graph)])


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("recorder", [compiled, traced, scripted])
@pytest.mark.parametrize("tracks", [False, True])
def test_a_recorder_finds_the_op_itself(recorder: Callable[[Tensor], Iterator[str]], tracks: bool) -> None:
    (graph,) = recorder(X.clone().requires_grad_(tracks))
    assert "torchmdnet" in graph
    assert "part_norms" in graph


def test_arrays_without_numbers_have_shapes() -> None:
    with FakeTensorMode() as mode:
        y = call(mode.from_tensor(X))
    assert y.shape == (4, 3, 2)


@pytest.mark.parametrize(
    ("context", "watched"),
    [(nullcontext, False), (torch.no_grad, False), (Seen, True), (FakeTensorMode, True)],
)
def test_modes_count_as_onlookers(context: Callable[[], AbstractContextManager[Any]], watched: bool) -> None:
    with context():
        assert eager.is_watched() == watched


def test_a_transform_counts_as_onlooker() -> None:
    watched: list[bool] = []

    def function(x: Tensor) -> Tensor:
        watched.append(eager.is_watched())
        return x

    torch.vmap(function)(X)
    assert watched == [True]
