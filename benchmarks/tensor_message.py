"""Time of the native message op of TensorNet against its PyTorch reference, side by side.

    python benchmarks/tensor_message.py [--threads 1] [--channels 64] [--atoms 15]

Forward alone, and a training step's worth: value, gradient, and the gradient of the gradient's square. Random molecules
of the density of organic ones, cutoff 5 Å, float32. It prints the median of the times and their ratio, measured in
turns in one process.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops import native
from torchmdnet.ops.tensor_message import tensor_message, tensor_message_reference

ATOMS_PER_CUBIC_ANGSTROM = 0.08
REPEATS = 15

Op = Callable[[Tensor, Tensor, Graph], Tensor]


def make_graph(num_systems: int, num_atoms: int) -> Graph:
    """Molecules of atoms anywhere in a cube."""
    edge = (num_atoms / ATOMS_PER_CUBIC_ANGSTROM) ** (1 / 3)
    batch = torch.arange(num_systems).repeat_interleave(num_atoms)
    pos = torch.rand((num_systems * num_atoms, 3)) * edge
    system = System(z=torch.ones_like(batch), pos=pos, batch=batch, num_systems=num_systems)
    return neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=5.0, loop=True)


def forward(op: Op, weight: Tensor, x: Tensor, graph: Graph) -> None:
    """The value alone."""
    with torch.no_grad():
        op(weight, x, graph)


def train(op: Op, weight: Tensor, x: Tensor, graph: Graph) -> None:
    """The value, its gradient and the gradient of that."""
    value = op(weight, x, graph).square().sum()
    gradients = torch.autograd.grad(value, (weight, x), create_graph=True)
    torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients), (weight, x))


def median_ms(run: Callable[[], None], other: Callable[[], None]) -> tuple[float, float]:
    """Median times of two functions that take turns."""
    times: tuple[list[float], list[float]] = ([], [])
    run(), other()
    for _ in range(REPEATS):
        for function, record in zip((run, other), times, strict=True):
            start = time.perf_counter()
            function()
            record.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    """Print one line for each batch size and mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--atoms", type=int, default=15, help="atoms in a molecule")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {options.threads} threads, native ops: {native.STATUS}")
    print("systems   edges  mode     reference ms  native ms  ratio")
    for num_systems in (1, 8, 32):
        graph = make_graph(num_systems, options.atoms)
        weight = torch.randn((len(graph.pair_distance), 3, options.channels), requires_grad=True)
        x = torch.randn((9, num_systems * options.atoms, options.channels), requires_grad=True)
        for mode in (forward, train):
            reference, ours = median_ms(
                lambda m=mode, w=weight, x=x, g=graph: m(tensor_message_reference, w, x, g),
                lambda m=mode, w=weight, x=x, g=graph: m(tensor_message, w, x, g),
            )
            edges = len(graph.receiver)
            print(
                f"{num_systems:7} {edges:7}  {mode.__name__:7} {reference:13.2f} {ours:10.2f} {reference / ours:6.1f}"
            )


if __name__ == "__main__":
    main()
