"""Ops on single atoms and edges give on a GPU what they give on the CPU, also in captured graphs."""

import pytest
import torch
from atom_pass_cases import edge_calls, layer_calls, pass_calls
from tensor_op_cases import Calls, results
from torch import Tensor

from torchmdnet.ops import native

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not native.CUDA_AVAILABLE,
        reason=f"what PyTorch's own functions stand in for cannot do it: {native.CUDA_STATUS}",
    ),
]
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-11}


def on_gpu(calls: Calls) -> Calls:
    return {
        name: [tuple(x.cuda() if isinstance(x, Tensor) else x for x in arguments) for arguments in lists]
        for name, lists in calls.items()
    }


def all_calls(num_atoms: int, channels: int, dtype: torch.dtype) -> Calls:
    calls = pass_calls(num_atoms, channels, dtype) | layer_calls(num_atoms, channels, dtype)
    return calls | edge_calls(30 * num_atoms, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_atoms", "channels"), [(0, 4), (1, 1), (7, 5), (33, 64), (24, 128), (3000, 128)])
def test_gives_what_the_cpu_gives(num_atoms: int, channels: int, dtype: torch.dtype) -> None:
    calls = all_calls(num_atoms, channels, dtype)
    found = results(torch.ops.torchmdnet, on_gpu(calls))
    for name, theirs in results(torch.ops.torchmdnet, calls).items():
        ours = [part.cpu() for part in found[name]]
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_gives_the_same_bits_every_time() -> None:
    calls = on_gpu(all_calls(500, 128, torch.float32))
    once = results(torch.ops.torchmdnet, calls)
    for name, found in results(torch.ops.torchmdnet, calls).items():
        assert all(torch.equal(one, other) for one, other in zip(once[name], found, strict=True)), name


def test_captured_launches_give_the_same() -> None:
    calls = on_gpu(all_calls(50, 128, torch.float32))
    expected = results(torch.ops.torchmdnet, calls)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        results(torch.ops.torchmdnet, calls)  # a library of products makes itself ready in its first call
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = results(torch.ops.torchmdnet, calls)
    graph.replay()
    torch.cuda.synchronize()
    for name, parts in found.items():
        torch.testing.assert_close(parts, expected[name], rtol=1e-5, atol=1e-5)
