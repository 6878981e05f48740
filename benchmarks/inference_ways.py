"""The ways in which ``inference.py`` runs a model: each makes, from weights and atoms, a call to be timed.

Only TorchMD-NET's names are used in what TorchMD-NET runs, so that its interpreter takes this file, too.
"""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from devices import Device
from inference_cases import MODELS, make_system
from torch import Tensor

WARM_UP = 3
"""Calls before the first that counts, for what compiles or records during these."""
STATIC: dict[str, Any] = {"static_shapes": True, "max_num_neighbors": 64}
"""Of TorchMD-NET where it needs lists of a fixed length: 64 for an atom, of which water fills up to 55."""

Call = Callable[[], tuple[Tensor, Tensor]]
"""Energies (B, 1) and forces (N, 3)."""


class Task(NamedTuple):
    """A model and its atoms."""

    options: dict[str, Any]
    weights: Path
    """Read if there, else written."""
    device: Device
    z: Tensor
    pos: Tensor
    batch: Tensor
    num_systems: int
    box: Tensor | None


class Made(NamedTuple):
    """What is to be timed, or why there is nothing."""

    run: Call | None
    building: float = 0.0
    """Seconds to make tables."""
    why: str = ""


class Way(NamedTuple):
    """A column of the benchmark."""

    title: str
    make: Callable[[Task], Made]
    distribution: str = "torchmdnet"


def make_task(model: str, *, system: str, weights: Path, device: Device) -> Task:
    """A model by its name, water by its size."""
    z, pos, batch, box = make_system(system)
    return Task(
        options=MODELS[model],
        weights=weights,
        device=device,
        z=torch.as_tensor(z, device=device.name),
        pos=torch.as_tensor(pos, device=device.name),
        batch=torch.as_tensor(batch, device=device.name),
        num_systems=int(batch.max()) + 1,
        box=None if box is None else torch.as_tensor(box, device=device.name),
    )


def make_model(task: Task, **more: Any) -> torch.nn.Module:
    """The model for inference, with the weights that the first process left."""
    torch.manual_seed(1)
    model: torch.nn.Module = importlib.import_module("torchmdnet.models.model").create_model(task.options | more)
    if task.weights.exists():
        model.load_state_dict(torch.load(task.weights, weights_only=True))
    else:
        torch.save(model.state_dict(), task.weights)
    return model.eval().requires_grad_(False).to(task.device.name)


def call(task: Task, model: Callable[..., Any]) -> Call:
    """A call with all that is known beforehand: nobody has to read the number of systems back."""
    return lambda: model(task.z, task.pos, task.batch, box=task.box, num_systems=task.num_systems)


def with_tables(task: Task) -> tuple[torch.nn.Module, float] | None:
    """The model with tables and the seconds to make them; None for a model that has none."""
    model = make_model(task)
    start = time.perf_counter()
    if not importlib.import_module("torchmdnet.models").use_radial_tables(model):
        return None
    return model, time.perf_counter() - start


def tabulated(make: Callable[[Task, torch.nn.Module], Call]) -> Callable[[Task], Made]:
    """A way that begins with a model with tables."""

    def way(task: Task) -> Made:
        found = with_tables(task)
        if found is None:
            return Made(None, why="no tables: this model has none")
        model, building = found
        return Made(make(task, model), building)

    return way


def exact(task: Task) -> Made:
    """As a model is after training."""
    return Made(call(task, make_model(task)))


def scripted(task: Task, model: torch.nn.Module) -> Call:
    """TorchScript looks at the first calls, and compiles."""
    run = call(task, torch.jit.script(model))
    for _ in range(2):
        run()
    return run


def static(task: Task, model: torch.nn.Module) -> Call:
    """Neighbour lists of a fixed length, which a first call finds."""
    importlib.import_module("torchmdnet.neighbors").use_static_shapes(model)
    run = call(task, model)
    run()
    return run


def recorded(task: Task, model: torch.nn.Module) -> Call:
    """One graph of everything: nothing is copied, nothing is asked, so that this is the least that a step takes."""
    return task.device.record(static(task, model))


def compiled(task: Task, model: torch.nn.Module) -> Call:
    """As calculators compile it; one that is called in their order: the first call finds the length of lists."""
    run = static(task, model)
    importlib.import_module("torchmdnet.potential.compilation").compile_evaluation(model)
    return warm(run)


def external(task: Task, model: torch.nn.Module, **options: Any) -> Call:
    """The calculator for replicas, with its graph where there is a GPU."""
    embeddings = task.z.reshape(task.num_systems, -1)
    served = importlib.import_module("torchmdnet.calculators").External(
        model, embeddings, device=task.device.name, use_cuda_graph=task.device.has_graphs, **options
    )

    def run() -> tuple[Tensor, Tensor]:
        energy, forces = served.calculate(task.pos, task.box)
        return energy, forces.reshape(-1, 3)

    return warm(run)


def peer_external(task: Task) -> Made:
    """TorchMD-NET's calculator, whose graph needs static shapes."""
    return Made(external(task, make_model(task, **STATIC)))


def peer_compiled(task: Task) -> Made:
    """As TorchMD-NET's calculator for ASE compiles it: the energy, differentiated outside; in pieces where it must."""
    model = make_model(task, **STATIC, derivative=False)
    compiled = torch.compile(model, dynamic=False, mode="reduce-overhead")

    def run() -> tuple[Tensor, Tensor]:
        pos = task.pos.detach().requires_grad_(True)
        energy = compiled(task.z, pos, task.batch, box=task.box, num_systems=task.num_systems)[0]
        return energy, -torch.autograd.grad(energy.sum(), pos)[0]

    return Made(warm(run))


def warm(run: Call) -> Call:
    """The same, after it has compiled or recorded what it does."""
    for _ in range(WARM_UP):
        run()
    return run


WAYS: dict[str, Way] = {
    "tables": Way("tables", tabulated(call)),
    "scripted": Way("scripted", tabulated(scripted)),
    "exact": Way("exact", exact),
    "graph": Way("graph", tabulated(recorded)),
    "external": Way("External", tabulated(lambda task, model: external(task, model, radial_tables=True))),
    "compiled": Way("compiled", tabulated(compiled)),
    "peer": Way("TorchMD-NET", exact, "torchmd-net"),
    "peer-external": Way("TorchMD-NET External", peer_external, "torchmd-net"),
    "peer-compiled": Way("TorchMD-NET compiled", peer_compiled, "torchmd-net"),
}
"""By the names on the command line. All but ``exact`` and TorchMD-NET have tables."""
KINDS = {
    "cpu": ("tables", "scripted", "exact", "peer"),
    "cuda": ("tables", "graph", "external", "compiled", "peer", "peer-external", "peer-compiled"),
}
"""What is measured on a device when nobody says."""
