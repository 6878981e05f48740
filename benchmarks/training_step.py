"""Time of one training step on energies and forces, on one CPU thread.

    python benchmarks/training_step.py --data FILE.extxyz [--model tensornet] [--batch-size 5] [--profile]
    python benchmarks/training_step.py --data FILE.extxyz --peer-python PEER/bin/python

The model is small (2 layers, 64 channels, 32 radial functions, 5 Å); a step is forward, forces, backward and AdamW. It
prints the median and the quartiles of the steps' CPU times in ms, and the median wall time. Only TorchMD-NET's import
paths are used, so that the same script times TorchMD-NET under the interpreter of an environment that holds it:
``--peer-python`` runs both in turns and prints the ratio.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from typing import Any, NamedTuple

import ase.io
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from torchmdnet.models.model import create_model

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


def build(name: str, *, precision: int) -> torch.nn.Module:
    """The model in training mode, from a fixed seed."""
    torch.manual_seed(1)
    options = {
        "model": name,
        "output_model": "Scalar",
        "prior_model": None,
        "embedding_dimension": CHANNELS,
        "num_layers": 2,
        "num_rbf": 32,
        "rbf_type": "expnorm",
        "trainable_rbf": False,
        "activation": "silu",
        "attn_activation": "silu",
        "num_heads": 8,
        "distance_influence": "both",
        "neighbor_embedding": True,
        "vector_cutoff": True,
        "equivariance_invariance_group": "O(3)",
        "cutoff_lower": 0.0,
        "cutoff_upper": 5.0,
        "max_z": 100,
        "max_num_neighbors": 64,
        "atom_filter": -1,
        "reduce_op": "add",
        "derivative": True,
        "precision": precision,
    }
    return create_model(options).train()


def make_step(model: torch.nn.Module, batch: Batch) -> Callable[[], float]:
    """One optimisation step, which returns the loss before it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        energy, forces = model(batch.z, batch.pos, batch.batch)
        loss = (energy - batch.energy).square().mean() + (forces - batch.forces).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def measure(step: Callable[[], float], *, steps: int, warmup: int) -> dict[str, Any]:
    """Times in ms, and losses to see that two versions compute the same."""
    losses = [step() for _ in range(warmup)]
    times, wall_times = [], []
    for _ in range(steps):
        start, wall_start = time.process_time(), time.perf_counter()
        losses.append(step())
        times.append((time.process_time() - start) * 1e3)
        wall_times.append((time.perf_counter() - wall_start) * 1e3)
    first, median, third = statistics.quantiles(times, n=4)
    return {
        "package": torch_package(),
        "first_loss": losses[0],
        "cpu_median": median,
        "cpu_quartiles": [first, third],
        "cpu_least": min(times),
        "wall_median": statistics.median(wall_times),
    }


def torch_package() -> str:
    """Distribution and version that the interpreter calls torchmdnet."""
    names = [name for name in packages_distributions().get("torchmdnet", []) if name]
    return f"{names[0]} {version(names[0])}" if names else "unknown"


def compare(peer_python: str, arguments: list[str], *, rounds: int) -> None:
    """Run both packages in turns and print the ratio of the medians of their rounds."""
    medians: dict[str, list[float]] = {sys.executable: [], peer_python: []}
    for _ in range(rounds):
        for python, values in medians.items():
            command = [python, __file__, *arguments, "--json"]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            result = json.loads(output.splitlines()[-1])
            values.append(result["cpu_median"])
            print(f"{result['package']:20s} CPU ms a step: median {result['cpu_median']:.2f}")
    ours, peer = (statistics.median(values) for values in medians.values())
    print(f"ratio {peer / ours:.2f} (peer {peer:.1f} ms, here {ours:.1f} ms)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="extended XYZ file with energies and forces")
    parser.add_argument("--model", choices=("tensornet", "equivariant-transformer"), default="tensornet")
    parser.add_argument("--batch-size", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--precision", type=int, choices=(32, 64), default=32)
    parser.add_argument("--profile", action="store_true", help="print the costliest operations")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_argument("--peer-python", help="interpreter of an environment with TorchMD-NET, to run in turns")
    parser.add_argument("--rounds", type=int, default=3, help="turns with --peer-python")
    arguments = parser.parse_args()
    if arguments.peer_python:
        kept = ["data", "model", "batch_size", "steps", "warmup", "precision"]
        words = [word for key in kept for word in (f"--{key.replace('_', '-')}", str(getattr(arguments, key)))]
        compare(arguments.peer_python, words, rounds=arguments.rounds)
        return
    torch.set_num_threads(1)
    dtype = torch.float64 if arguments.precision == 64 else torch.float32
    batch = read_batch(arguments.data, arguments.batch_size, dtype=dtype)
    step = make_step(build(arguments.model, precision=arguments.precision), batch)
    result = measure(step, steps=arguments.steps, warmup=arguments.warmup)
    print(json.dumps(result, indent=None if arguments.json else 2))
    if arguments.profile:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(5):
                step()
        print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


if __name__ == "__main__":
    main()
