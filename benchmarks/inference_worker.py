"""One way to run one model on one system, in a process of its own, for ``inference.py``; orders and answers in JSON.

    python benchmarks/inference_worker.py tables --model TensorNet --system 166 --threads 1 --memory 14 --weights FILE

Only TorchMD-NET's names are used for what TorchMD-NET has, so that its interpreter runs this file, too, as ``peer``.
``prepare`` makes the model and calls it once, ``measure`` times it, ``peak`` tells the most memory that was held,
``machine`` what the processor reaches.
"""

import argparse
import importlib
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference_cases import CUTOFF, MODELS, make_system
from neighbor_worker import timed_cpu, until
from worker_protocol import peak_bytes, serve

KINDS = ("tables", "scripted", "exact", "peer")
DISTRIBUTIONS = {"peer": "torchmd-net"}


class Worker:
    """A model and its system."""

    def __init__(self, kind: str, *, model: str, system: str, weights: Path) -> None:
        self.kind = kind
        self.options = MODELS[model]
        self.weights = weights
        z, pos, batch, box = make_system(system)
        self.z, self.pos, self.batch = torch.as_tensor(z), torch.as_tensor(pos), torch.as_tensor(batch)
        self.box = None if box is None else torch.as_tensor(box)
        self.model: torch.nn.Module | None = None

    def prepare(self, *, result: str) -> dict[str, Any]:
        """Make the model, with the weights that the first worker left, and call it; the numbers go to a file."""
        torch.manual_seed(1)
        model = importlib.import_module("torchmdnet.models.model").create_model(self.options)
        if self.weights.exists():
            model.load_state_dict(torch.load(self.weights, weights_only=True))
        else:
            torch.save(model.state_dict(), self.weights)
        self.model = model.eval().requires_grad_(False)
        found: dict[str, Any] = {}
        if self.kind in ("tables", "scripted"):
            switch = importlib.import_module("torchmdnet.models").use_radial_tables
            start = time.perf_counter()
            if not switch(self.model):
                return {"why": "no tables: this model has none"}
            found["building"] = time.perf_counter() - start
        if self.kind == "scripted":
            self.model = torch.jit.script(self.model)
            for _ in range(2):  # TorchScript looks at these calls, and compiles
                self._run()
        start = time.perf_counter()
        energy, forces = self._run()
        found["first"] = time.perf_counter() - start
        np.savez(result, energy=energy.detach().numpy(), forces=forces.detach().numpy())
        return found

    def _run(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.model(self.z, self.pos, self.batch, box=self.box)

    def measure(self, *, seconds: float) -> dict[str, Any]:
        """Times of calls."""
        return {"times": until(seconds, lambda: timed_cpu(self._run))}

    def peak(self) -> dict[str, Any]:
        """Bytes of this process at its largest, torch included."""
        return {"bytes": peak_bytes()}

    def edges(self) -> dict[str, Any]:
        """Directed pairs of the system within the cutoff, self pairs included; asked of this package alone."""
        graph = importlib.import_module("torchmdnet.graph")
        neighbors = importlib.import_module("torchmdnet.neighbors")
        box = None if self.box is None else self.box[None]
        system = graph.System(self.z, self.pos, self.batch, int(self.batch.max()) + 1, box=box)
        found = neighbors.neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=CUTOFF, loop=True)
        return {"edges": len(found.receiver)}

    def machine(self) -> dict[str, Any]:
        """Operations a second in a product of matrices, bytes a second in a = b + 2 c; medians of ten."""
        size = 1024
        square, product = torch.rand(size, size), torch.empty(size, size)
        multiply = [timed_cpu(lambda: torch.mm(square, square, out=product)) for _ in range(10)]
        b, c, a = (torch.rand(1 << 24) for _ in range(3))
        triad = [timed_cpu(lambda: torch.add(b, c, alpha=2, out=a)) for _ in range(10)]
        return {
            "flops": 2 * size**3 / statistics.median(multiply),
            "bandwidth": 3 * a.nbytes / statistics.median(triad),
        }


def main() -> None:
    """Obey until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--system", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=float, required=True, help="GiB that the process may hold")
    parser.add_argument("--weights", type=Path, required=True, help="read if there, else written")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    serve(
        lambda: Worker(options.kind, model=options.model, system=options.system, weights=options.weights),
        distribution=DISTRIBUTIONS.get(options.kind, "torchmdnet"),
        memory=options.memory,
    )


if __name__ == "__main__":
    main()
