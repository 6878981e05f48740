"""Time of one training step on energies and forces, on one CPU thread.

    python benchmarks/training_step.py --data FILE.extxyz [--model tensornet] [--batch-size 5] [--profile]

The model is small (2 layers, 64 channels, 32 radial functions, 5 Å); a step is forward, forces, backward and AdamW. It
prints the median and the quartiles of the steps' CPU times in ms, and the median wall time. Figures of two versions are
comparable only when both ran on the same machine, one after the other, with nothing beside them.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import ase.io
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from torchmdnet.models.equivariant_transformer import TorchMD_ET
from torchmdnet.models.tensornet import TensorNet
from torchmdnet.nn.representation import Representation
from torchmdnet.outputs.scalar import EquivariantScalar, Scalar
from torchmdnet.potential import TorchMD_Net

CHANNELS = 64


class Batch(NamedTuple):
    """Frames of one training step."""

    z: Tensor
    pos: Tensor
    batch: Tensor
    energy: Tensor
    forces: Tensor


def read_batch(path: str, size: int, *, dtype: torch.dtype) -> Batch:
    """The first ``size`` frames of a file, energies relative to their mean."""
    frames = ase.io.read(path, index=f":{size}")
    energy = torch.tensor([frame.get_potential_energy() for frame in frames], dtype=dtype).unsqueeze(1)
    return Batch(
        z=torch.cat([torch.as_tensor(frame.numbers) for frame in frames]),
        pos=torch.cat([torch.as_tensor(frame.positions, dtype=dtype) for frame in frames]),
        batch=torch.cat([torch.full((len(frame),), k) for k, frame in enumerate(frames)]),
        energy=energy - energy.mean(),
        forces=torch.cat([torch.as_tensor(frame.get_forces(), dtype=dtype) for frame in frames]),
    )


def build(name: str, *, dtype: torch.dtype) -> TorchMD_Net:
    """The model in training mode, from a fixed seed."""
    torch.manual_seed(1)
    representation: Representation
    if name == "tensornet":
        representation = TensorNet(CHANNELS, num_layers=2, num_rbf=32, cutoff_upper=5.0, dtype=dtype)
        head: Scalar | EquivariantScalar = Scalar(CHANNELS, dtype=dtype)
    else:
        representation = TorchMD_ET(CHANNELS, num_layers=2, num_rbf=32, cutoff_upper=5.0, dtype=dtype)
        head = EquivariantScalar(CHANNELS, dtype=dtype)
    return TorchMD_Net(representation, head, derivative=True, dtype=dtype).train()


def make_step(model: TorchMD_Net, batch: Batch) -> Callable[[], float]:
    """One optimisation step, which returns the loss before it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    num_systems = len(batch.energy)

    def step() -> float:
        optimizer.zero_grad()
        energy, forces = model(batch.z, batch.pos, batch.batch, num_systems=num_systems)
        loss = (energy - batch.energy).square().mean() + (forces - batch.forces).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def report(step: Callable[[], float], *, steps: int, warmup: int) -> None:
    """Print losses (to see that two versions compute the same) and times."""
    losses = [step() for _ in range(warmup)]
    times, wall_times = [], []
    for _ in range(steps):
        start, wall_start = time.process_time(), time.perf_counter()
        losses.append(step())
        times.append((time.process_time() - start) * 1e3)
        wall_times.append((time.perf_counter() - wall_start) * 1e3)
    first, median, third = statistics.quantiles(times, n=4)
    print(f"loss: first {losses[0]:.9f}, last {losses[-1]:.9f}")
    print(
        f"CPU ms a step: median {median:.2f}, quartiles {first:.2f} and {third:.2f}, least {min(times):.2f}; "
        f"wall: median {statistics.median(wall_times):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="extended XYZ file with energies and forces")
    parser.add_argument("--model", choices=("tensornet", "equivariant-transformer"), default="tensornet")
    parser.add_argument("--batch-size", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--precision", type=int, choices=(32, 64), default=32)
    parser.add_argument("--profile", action="store_true", help="print the costliest operations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dtype = torch.float64 if arguments.precision == 64 else torch.float32
    step = make_step(build(arguments.model, dtype=dtype), read_batch(arguments.data, arguments.batch_size, dtype=dtype))
    report(step, steps=arguments.steps, warmup=arguments.warmup)
    if arguments.profile:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(5):
                step()
        print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


if __name__ == "__main__":
    main()
