"""Models run in one way, in a process of its own, for ``inference.py``; orders and answers in JSON.

    python benchmarks/inference_worker.py tables --device cpu --threads 1 --memory 14

``prepare`` makes a model for some water and calls it, ``measure`` times it, ``peak`` tells the most memory that was
held, ``activities`` what a call does on a GPU, ``edges`` the size of the graph, ``machine`` what the processor reaches.
"""

import argparse
import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from devices import DEVICES, Device, until
from inference_cases import CUTOFF
from inference_ways import WAYS, Call, Task, make_task
from worker_protocol import serve


class Worker:
    """A way to run models, and the model that it has at present."""

    def __init__(self, kind: str, device: Device) -> None:
        if why := device.why_not():
            raise RuntimeError(why)
        self.make = WAYS[kind].make
        self.device = device
        self.task: Task | None = None
        self.run: Call | None = None

    def prepare(self, *, model: str, system: str, weights: str, result: str) -> dict[str, Any]:
        """Make the model and call it; the numbers go to a file."""
        self.task = self.run = None
        self.device.forget()
        self.task = make_task(model, system=system, weights=Path(weights), device=self.device)
        start = time.perf_counter()
        run, building, why = self.make(self.task)
        if run is None:
            return {"why": why}
        ready = time.perf_counter() - start
        start = time.perf_counter()
        energy, forces = (values.detach().cpu() for values in run())
        first = time.perf_counter() - start
        np.savez(result, energy=energy.reshape(-1).numpy(), forces=forces.reshape(-1, 3).numpy())
        self.run = run
        self.device.rest()
        return {"first": first, "building": building, "ready": ready}

    def measure(self, *, seconds: float) -> dict[str, Any]:
        """Times of calls."""
        run = self._made()
        self.device.wake(run)
        times = until(seconds, lambda: self.device.timed(run))
        self.device.rest()
        return {"times": times}

    def peak(self) -> dict[str, Any]:
        """Bytes."""
        return {"bytes": self.device.peak()}

    def activities(self) -> dict[str, Any]:
        """Of one call."""
        run = self._made()
        self.device.wake(run)
        found = self.device.activities(run)
        self.device.rest()
        return found._asdict()

    def edges(self) -> dict[str, Any]:
        """Directed pairs of the system within the cutoff, self pairs included; asked of this package alone."""
        if self.task is None:
            raise RuntimeError("nothing is prepared")
        graph = importlib.import_module("torchmdnet.graph")
        neighbors = importlib.import_module("torchmdnet.neighbors")
        box = None if self.task.box is None else self.task.box[None]
        system = graph.System(self.task.z, self.task.pos, self.task.batch, self.task.num_systems, box=box)
        found = neighbors.neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=CUTOFF, loop=True)
        return {"edges": len(found.receiver)}

    def machine(self) -> dict[str, Any]:
        """Operations and bytes a second."""
        found = self.device.machine()
        self.device.rest()
        return found

    def _made(self) -> Call:
        if self.run is None:
            raise RuntimeError("nothing is prepared")
        return self.run


def main() -> None:
    """Obey until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(WAYS))
    parser.add_argument("--device", choices=list(DEVICES), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=float, required=True, help="GiB that the process may hold; 0: no limit")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    serve(
        lambda: Worker(options.kind, DEVICES[options.device]()),
        distribution=WAYS[options.kind].distribution,
        memory=options.memory,
    )


if __name__ == "__main__":
    main()
