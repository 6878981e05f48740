"""CUDA graphs: what a function does on a GPU, captured once and replayed with hardly any work on the CPU."""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.calculators.graph_replay import Outputs, RecordedFunction
from torchmdnet.ops import native

__all__ = ["CudaRecorder", "cuda_recorder"]


def cuda_recorder(device: torch.device) -> "CudaRecorder":
    """A recorder for a device.

    Raises:
        ValueError: It is no CUDA device, or the native ops for CUDA are missing.
    """
    if device.type != "cuda":
        raise ValueError(
            f"use_cuda_graph=True needs a CUDA device, and device is '{device}': give device='cuda', or leave it out"
        )
    if not native.CUDA_AVAILABLE:
        raise ValueError(
            "use_cuda_graph=True needs the native ops for CUDA, as PyTorch's own read back how many neighbours there "
            f"are ({native.CUDA_STATUS}): build them, see `python -m torchmdnet`, or leave it out"
        )
    return CudaRecorder(device)


class CudaRecorder:
    """A CUDA graph on a side stream of one device.

    Calls before and capture share the stream, as PyTorch wants it: its libraries have a workspace for each stream, and
    what a backward pass runs on is decided by the forward pass. The graph has a pool of memory of its own, which is
    free again when it is forgotten.

    Args:
        device: With its index.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def warm_up(self, function: RecordedFunction, pos: Tensor, box: Tensor | None, *, steps: int) -> None:
        """Run the function some times as it is."""
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream = torch.cuda.Stream()
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(steps):
                    function(pos, box)
            torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, function: RecordedFunction, pos: Tensor, box: Tensor | None) -> Outputs:
        """Capture the function, in place of what was captured before.

        Raises:
            RuntimeError: The function waits for the GPU.
        """
        self._graph = None
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device), torch.cuda.graph(graph, stream=self._stream):
            outputs = function(pos, box)
        self._graph = graph
        return outputs

    def replay(self) -> None:
        """Run the graph on the current stream.

        Raises:
            RuntimeError: There is none.
        """
        if self._graph is None:
            raise RuntimeError("there is no CUDA graph to replay: call record first")
        self._graph.replay()

    def __getstate__(self) -> dict[str, Any]:
        """What is copied: a graph and a stream belong to a process."""
        return self.__dict__ | {"_stream": None, "_graph": None}
