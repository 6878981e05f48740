"""What a benchmark does in another way on a GPU: time, memory, recording, counting. Nowhere else does it ask."""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from worker_protocol import peak_bytes

LAUNCHES = ("LaunchKernel", "GraphLaunch", "MemcpyAsync", "MemsetAsync", "Memcpy2DAsync", "Memcpy3DAsync")
"""What the calls of CUDA's runtime and driver that give the GPU work have in their names."""
SHORTEST = 20.0
"""Milliseconds that a time by events covers at least."""
WARM_UP = 3
"""Calls on the stream that is recorded, before it is."""

Run = Callable[[], Any]


class Activities(NamedTuple):
    """What one call does on a GPU."""

    kernels: int
    copies: int
    """Within its memory, from and to it; and memory filled."""
    launches: int
    """Orders from the CPU; a graph is one."""


class Device(Protocol):
    """Where a worker runs."""

    name: str
    has_graphs: bool
    """Whether what runs can be recorded."""

    def why_not(self) -> str:
        """Why nothing can run here; empty if it can."""

    def timed(self, run: Run) -> float:
        """Seconds of a call."""

    def forget(self) -> None:
        """Give back memory that nobody uses, and watch the peak from here on."""

    def rest(self) -> None:
        """Leave to others what memory is not in use between two calls."""

    def wake(self, run: Run) -> None:
        """Make ready for calls that are timed, after others have been at work."""

    def peak(self) -> int:
        """Bytes held at most."""

    def record(self, run: Run) -> Run:
        """The same as one graph."""

    def activities(self, run: Run) -> Activities:
        """What a call does."""

    def copy_bandwidth(self) -> float:
        """Bytes read and written per second by a copy, median of ten."""

    def machine(self) -> dict[str, float]:
        """Operations a second in a product of matrices, bytes a second in a = b + 2 c; medians of ten."""


class Cpu:
    """Wall time, the process's memory; nothing to record and nothing to launch."""

    name = "cpu"
    has_graphs = False

    def why_not(self) -> str:
        """Nothing speaks against it."""
        return ""

    def timed(self, run: Run) -> float:
        """By the wall clock. The result lives until it has stopped."""
        return timed_cpu(run)

    def forget(self) -> None:
        """Collect what is not reached any more. The peak is that of the process's life."""
        _forget_compiled()
        gc.collect()

    def rest(self) -> None:
        """Nothing: memory goes back by itself."""

    def wake(self, run: Run) -> None:
        """Nothing: a call may take half a minute here."""

    def peak(self) -> int:
        """Of this process, torch included."""
        return peak_bytes()

    def record(self, run: Run) -> Run:
        """The call itself."""
        return run

    def activities(self, run: Run) -> Activities:
        """None of a GPU's."""
        run()
        return Activities(0, 0, 0)

    def copy_bandwidth(self) -> float:
        """From memory to memory, beyond the caches."""
        return _copy_bandwidth(self, 1 << 27)

    def machine(self) -> dict[str, float]:
        """What the threads of this process reach."""
        return _machine(self, 1024, 1 << 24)


class Cuda:
    """Times by events, the memory of PyTorch's allocator, CUDA graphs."""

    name = "cuda"
    has_graphs = True

    def why_not(self) -> str:
        """PyTorch is for a CPU, or finds no GPU."""
        if torch.cuda.is_available():
            return ""
        return f"no GPU: torch {torch.__version__}, built for CUDA {torch.version.cuda}, finds none"

    def timed(self, run: Run) -> float:
        """By events, over calls back to back."""
        return timed_cuda(run)

    def forget(self) -> None:
        """Empty the allocator's cache and start the peak anew."""
        _forget_compiled()
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def rest(self) -> None:
        """Empty the allocator's cache: the processes of a row share the memory."""
        torch.cuda.synchronize()
        torch.cuda.empty_cache()

    def wake(self, run: Run) -> None:
        """A call, for the allocator's cache and the clock of the GPU."""
        run()

    def peak(self) -> int:
        """Of tensors, since ``forget``; CUDA's own and other allocators' memory is not in it."""
        return torch.cuda.max_memory_allocated()

    def record(self, run: Run) -> Run:
        """A CUDA graph; calls before and the recording share a stream, which libraries' workspaces belong to."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            result = run()

        def replay() -> Any:
            graph.replay()
            return result

        return replay

    def activities(self, run: Run) -> Activities:
        """By CUDA's profiler."""
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as record:
            run()
            torch.cuda.synchronize()
        events = [event for event in record.events() if not getattr(event, "is_user_annotation", False)]
        return count_activities((event.name, event.device_type == DeviceType.CUDA) for event in events)

    def copy_bandwidth(self) -> float:
        """Within the GPU."""
        return _copy_bandwidth(self, 1 << 30)

    def machine(self) -> dict[str, float]:
        """What the GPU reaches in float32 without the approximation TF32."""
        return _machine(self, 8192, 1 << 28)


DEVICES: dict[str, type[Cpu] | type[Cuda]] = {"cpu": Cpu, "cuda": Cuda}


def count_activities(events: Iterable[tuple[str, bool]]) -> Activities:
    """Of events by their names and whether they are the GPU's; regions that compiled code marks are no kernels."""
    kernels = copies = launches = 0
    for name, is_on_gpu in events:
        if is_on_gpu and name.startswith(("Memcpy", "Memset")):
            copies += 1
        elif is_on_gpu:
            kernels += not name.startswith("## ")
        elif name.startswith("cu"):
            launches += any(word in name for word in LAUNCHES)
    return Activities(kernels, copies, launches)


def timed_cpu(run: Run) -> float:
    """Seconds of one call. The result lives until the clock has stopped."""
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    del result
    return seconds


def timed_cuda(run: Run) -> float:
    """Seconds of one call by events on the stream, averaged over calls back to back for about 20 ms."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    calls, milliseconds = 1, 0.0
    while milliseconds < SHORTEST:
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        milliseconds = start.elapsed_time(end)
        if milliseconds < SHORTEST:
            calls *= 4
    return milliseconds / 1e3 / calls


def until(seconds: float, timed: Callable[[], float]) -> list[float]:
    """Times of calls for so many seconds, one call at least."""
    end = time.perf_counter() + seconds
    times = [timed()]
    while time.perf_counter() < end:
        times.append(timed())
    return times


def _copy_bandwidth(device: Cpu | Cuda, num_bytes: int) -> float:
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=device.name)
    target = torch.empty_like(source)
    return 2 * source.nbytes / statistics.median(device.timed(lambda: target.copy_(source)) for _ in range(10))


def _forget_compiled() -> None:
    if "torch._dynamo" in sys.modules:  # which takes seconds to import
        torch.compiler.reset()


def _machine(device: Cpu | Cuda, size: int, length: int) -> dict[str, float]:
    square = torch.rand(size, size, device=device.name)
    product = torch.empty_like(square)
    multiply = [device.timed(lambda: torch.mm(square, square, out=product)) for _ in range(10)]
    b, c, a = (torch.rand(length, device=device.name) for _ in range(3))
    triad = [device.timed(lambda: torch.add(b, c, alpha=2, out=a)) for _ in range(10)]
    return {"flops": 2 * size**3 / statistics.median(multiply), "bandwidth": 3 * a.nbytes / statistics.median(triad)}
