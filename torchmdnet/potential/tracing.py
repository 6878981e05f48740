"""What a function does with tensors, written down as a graph that TorchScript, export and AOTInductor take.

A graph holds the derivatives that the function takes, as further operations: whoever runs it differentiates nothing.
"""

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["script_graph", "trace", "trace_any_size"]


def trace(function: Callable[..., Any], *inputs: Any) -> fx.GraphModule:
    """The operations of a function of tensors, for inputs of the same shapes."""
    with _tracing():
        return _cleaned(make_fx(function)(*inputs))


def trace_any_size(function: Callable[..., Any], *inputs: Tensor | int) -> fx.GraphModule:
    """The operations of a function, for inputs with any number of rows, which operations may make more or fewer.

    The numbers in ``inputs`` are not read, and an integer stays open as a length does. Lengths that differ in meaning
    must differ in ``inputs``, and be neither 0 nor 1: equal ones count as one.

    Raises:
        RuntimeError: What the function does depends on a number of rows, or on one in a tensor.
    """
    # One tensor in two places would be taken for one input.
    inputs = tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs)
    with _tracing():
        try:
            graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*inputs)
        # The second name is looked up when something is raised: to import its module takes a second or more.
        except (
            DataDependentOutputException,
            torch.fx.experimental.symbolic_shapes.GuardOnDataDependentSymNode,
        ) as error:
            raise _explained(error) from error
    _check_sizes(graph)
    return _cleaned(graph)


def script_graph(graph: fx.GraphModule) -> torch.jit.ScriptModule:
    """TorchScript of a traced graph. The graph itself is changed, and can be run no more."""
    for node in graph.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):  # TorchScript finds the overload by itself
            node.target = node.target.overloadpacket
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": str(node.kwargs["device"])}
        if node.op == "placeholder" and isinstance(node.meta.get("val"), torch.SymInt):
            node.type = int
    graph.recompile()
    return _script_quietly(graph)


def _script_quietly(module: nn.Module) -> torch.jit.ScriptModule:
    """TorchScript of a module, without PyTorch's notices on TorchScript: a caller can do nothing about them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.*` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "The TorchScript type system", UserWarning)
        script: torch.jit.ScriptModule = torch.jit.script(module)
    return script


@contextmanager
def _tracing() -> Iterator[None]:
    """Inside, models leave out what reads a number, as they do for ``torch.compile`` and ``torch.export``.

    ``torch.export`` sets the same mark. It cannot be used itself, as it drops the derivative of a Python function.
    """
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = False


def _cleaned(graph: fx.GraphModule) -> fx.GraphModule:
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _check_sizes(graph: fx.GraphModule) -> None:
    """Refuse a graph that holds for some numbers of rows alone.

    Shapes are compared as tuples, first by their numbers of rows, so that PyTorch notes down many an inequality that
    decides nothing.
    """
    inputs = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    rows = [value if isinstance(value, torch.SymInt) else value.shape[0] for value in inputs]
    symbols = [row.node.expr.free_symbols for row in rows]  # none, where the number was fixed
    guards = [guard.expr for guard in graph.shape_env.guards]  # type: ignore[union-attr]
    decisive = [g for g in guards if getattr(g, "rel_op", "") != "!=" and g.free_symbols & set().union(*symbols)]
    if decisive or not all(symbols):
        raise RuntimeError(
            "a part of the model does one thing for some numbers of atoms or systems and another for others, which a "
            f"graph cannot: {decisive or guards}"
        )


def _explained(error: RuntimeError) -> RuntimeError:
    """PyTorch's error on a number that is not known, with the line outside of PyTorch that asks for it."""
    torch_folder = str(Path(torch.__file__).parent)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(torch_folder)
    ]
    where = frames[-1]
    return RuntimeError(
        f"a part of the model reads a number of a tensor, which a graph cannot: {where.line} ({where.filename}, "
        f"line {where.lineno})"
    )
