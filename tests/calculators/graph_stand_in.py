"""A CUDA graph without CUDA: operations are recorded by PyTorch's tracer and run again on the CPU.

As on a GPU, what Python decides while it is recorded stays decided, reading numbers back from a tensor is an error,
results lie at one place and hold nonsense before the first replay, and a search that finds something wrong does not
raise but says so in its status, with NaN for all distances.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from torchmdnet.calculators.graph_replay import Outputs, RecordedFunction
from torchmdnet.neighbors.default_box import DefaultBox
from torchmdnet.ops import native, recording, table_attention, table_sum
from torchmdnet.ops.neighbor_pairs import FAULTS

_WITHOUT_KERNEL: dict[Any, Any] = {
    torch.ops.torchmdnet.table_sum.default: table_sum.table_sum_reference,
    torch.ops.torchmdnet.table_sum_backward.default: table_sum.table_sum_backward_reference,
    torch.ops.torchmdnet.table_attention.default: table_attention._reference,
    torch.ops.torchmdnet.table_attention_backward.default: table_attention._backward_reference,
}
"""Ops that are PyTorch's own operations on a GPU."""


class StandIn:
    """A recorder for the CPU."""

    def __init__(self) -> None:
        self.calls = self.recordings = self.replays = 0

    def warm_up(self, function: RecordedFunction, pos: Tensor, box: Tensor | None, *, steps: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "has_kernel", lambda *_: False)
            for _ in range(steps):
                self.calls += 1
                function(pos, box)

    def record(self, function: RecordedFunction, pos: Tensor, box: Tensor | None) -> Outputs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recording, "is_captured", lambda _: True)
            patch.setattr(DefaultBox, "has_box", lambda module: module._has_box)  # on a GPU it is not read
            patch.setattr(native, "has_kernel", lambda *_: False)
            self._module = make_fx(lambda *inputs: function(*inputs), decomposition_table=_WITHOUT_KERNEL)(pos, box)
        for node in self._module.graph.nodes:
            refuse_what_waits(node)
        self._inputs = pos, box
        self._outputs = Outputs(*(_nonsense(value) for value in self._run()))
        self.recordings += 1
        return self._outputs

    def replay(self) -> None:
        self.replays += 1
        for place, value in zip(self._outputs, self._run(), strict=True):
            place.copy_(value)

    def _run(self) -> tuple[Tensor, ...]:
        result: tuple[Tensor, ...] = _LikeOnAGpu(self._module).run(*self._inputs)
        return result


def refuse_what_waits(node: torch.fx.Node) -> None:
    """Refuse results whose shape depends on numbers, and tensors made of Python's numbers, copies of host memory.

    Other reading of numbers is refused by the tracer.
    """
    tags = getattr(node.target, "tags", ())
    if node.target is torch.ops.aten.index.Tensor:
        indices: list[Any] = [index for index in node.args[1] if index is not None]  # type: ignore[union-attr]
        waits = any(index.meta["val"].dtype == torch.bool for index in indices)
    else:
        waits = torch.Tag.dynamic_output_shape in tags or "lift_fresh" in str(node.target)
    if waits:
        raise RuntimeError(f"a graph cannot hold {node.format_node()}")


class _LikeOnAGpu(torch.fx.Interpreter):
    """Runs what was recorded, with searches that do not raise."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        after_faults = _AFTER_FAULTS.get(target)
        if after_faults is None:
            return super().call_function(target, args, kwargs)
        try:
            return super().call_function(target, args, kwargs)
        except RuntimeError as error:
            return after_faults(str(error), *args)


def _poisoned_pairs(error: str, pos: Tensor, batch: Tensor, box: Tensor, *options: Any) -> tuple[Tensor, ...]:
    """What the kernels for CUDA write after a fault: atoms share the rows, no number is finite."""
    capacity, num_atoms = options[-1], len(pos)
    bit = next((bit for bit, text in FAULTS.items() if text in error), 64)
    row_ptr = (torch.arange(num_atoms + 1) * capacity // num_atoms).int()
    receiver = torch.repeat_interleave(row_ptr.diff()).int()
    shift = torch.zeros((capacity if len(box) else 0, 3), dtype=torch.int32)
    nan = torch.full((capacity, 3), torch.nan, dtype=pos.dtype)
    return nan, nan[:, 0].clone(), receiver, receiver.clone(), shift, row_ptr, torch.tensor([0, bit], dtype=torch.int32)


def _pairs_of_poisoned(_: str, sender: Tensor, shift: Tensor, row_ptr: Tensor, *options: Any) -> tuple[Tensor, ...]:
    """Which of them belong together: all are edges of atoms to themselves."""
    loop, padded = options
    num_others = len(sender) - (len(row_ptr) - 1 if loop else 0)
    first = sender.new_full((num_others // 2 + loop + padded,), len(sender) - 1)
    return first, torch.zeros_like(sender)


_AFTER_FAULTS = {
    torch.ops.torchmdnet.neighbor_pairs.default: _poisoned_pairs,
    torch.ops.torchmdnet.distinct_pairs.default: _pairs_of_poisoned,
}


def _nonsense(value: Tensor) -> Tensor:
    return torch.full_like(value, 1e30) if value.is_floating_point() else torch.ones_like(value)


@contextmanager
def stand_ins() -> Iterator[list[StandIn]]:
    """Inside this context calculators record with stand-ins, which are listed."""
    made: list[StandIn] = []

    def make(_: torch.device) -> StandIn:
        made.append(StandIn())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchmdnet.calculators.external.cuda_recorder", make)
        yield made
