"""A model as a TorchScript module, which OpenMM-Torch calls without Python."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchmdnet.calculators.opening import ModelSource, members_of, open_model, parse_device
from torchmdnet.calculators.openmm import ANGSTROM_IN_NM, number, numbers_of
from torchmdnet.calculators.openmm_package import app, unit
from torchmdnet.neighbors import use_static_shapes
from torchmdnet.potential import TorchMD_Net
from torchmdnet.potential.references import FixedReferences
from torchmdnet.potential.tracing import script_graph, trace
from torchmdnet.units import KJ_PER_MOL_IN_EV

__all__ = ["openmm_torch_module"]


def openmm_torch_module(
    model_file: ModelSource,
    atoms: app.Topology | Sequence[int],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    *,
    positions: Any,
    box: Any = None,
    charge: float = 0.0,
    spin: float = 0.0,
    **kwargs: Any,
) -> torch.jit.ScriptModule:
    r"""A module for ``openmmtorch.TorchForce``: positions in nm to energy in kJ/mol and forces in kJ/mol/nm.

    The module computes the forces itself, and takes the box where one is given here::

        force = openmmtorch.TorchForce(module)
        force.setOutputsForces(True)
        force.setUsesPeriodicBoundaryConditions(True)  # with a box

    It is made for these atoms. Its neighbour lists have room for a quarter more than these positions need, and eight
    for each atom; more is an error while it runs. A saved module needs ``import torchmdnet`` where it is loaded, for
    the native ops.

    Args:
        model_file: Checkpoint, list of checkpoints (an ensemble), zip of checkpoints, or a model, which is copied.
        atoms: Topology, or atomic numbers, of all particles.
        device: Where the module runs.
        dtype: Of the model and its arithmetic; None: float32 for files, a given model's own.
        positions: A configuration that is typical of the simulation, nm, with or without OpenMM's units. (N, 3)
        box: Its box vectors, nm, as rows; None for no periodic axis. (3, 3)
        charge: Total charge, e.
        spin: Spin.
        **kwargs: Options that replace those in the file.

    Returns:
        A module: positions (N, 3)[, box (3, 3)] -> energy (), float64, reference energies of the atoms included, and
        forces (N, 3).

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: A particle has no element, shapes do not fit, or what the model refuses.
        TypeError: ``model_file`` is no model, or a keyword is no option.
    """
    device = parse_device(device)
    model = open_model(model_file, device=device, dtype=dtype, **kwargs)
    members = members_of(model)
    use_static_shapes(model)
    z = torch.as_tensor(numbers_of(atoms), device=device)
    # Traced with the other type, so that the conversion to the model's own is part of what is traced.
    other = torch.float32 if members[0].mean.dtype == torch.float64 else torch.float64
    example = [_in_nm(positions, "positions", (len(z), 3))]
    if box is not None:
        example.append(_in_nm(box, "box", (3, 3)))
    inputs = [torch.as_tensor(value, dtype=other, device=device) for value in example]
    compute = _Evaluation(members, z, charge=number("charge", charge), spin=number("spin", spin))
    with compute.references_left_out():
        compute(*inputs)  # refuses what is wrong, and finds the size of the neighbour lists
        graph = trace(compute, *inputs)
    return script_graph(graph)


class _Evaluation:
    """What is traced: positions in nm, and a box, to energy and forces in OpenMM's units."""

    def __init__(self, members: Sequence[TorchMD_Net], z: Tensor, *, charge: float, spin: float) -> None:
        self._members = members
        self._references = [FixedReferences(member) for member in members]
        self._z = z
        self._batch = torch.zeros_like(z)
        self._totals: dict[str, Any] = {
            "q": z.new_tensor([charge], dtype=torch.float64),
            "s": z.new_tensor([spin], dtype=torch.float64),
        }
        self._constant = float(
            np.mean([references.left_out_energies(z).sum().item() for references in self._references])
        )

    @contextmanager
    def references_left_out(self) -> Iterator[None]:
        with ExitStack() as stack:
            for references in self._references:
                stack.enter_context(references.left_out())
            yield

    def __call__(self, pos: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        box = None if box is None else box / ANGSTROM_IN_NM
        predictions = [
            member.compute(self._z, pos / ANGSTROM_IN_NM, self._batch, box=box, num_systems=1, **self._totals)
            for member in self._members
        ]
        energy = torch.stack([prediction.energy.double().sum() for prediction in predictions]).mean(0)
        forces = torch.stack([prediction.forces for prediction in predictions if prediction.forces is not None]).mean(0)
        return (energy + self._constant) / KJ_PER_MOL_IN_EV, forces / (KJ_PER_MOL_IN_EV * ANGSTROM_IN_NM)


def _in_nm(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value as an array, nm."""
    if isinstance(value, unit.Quantity):
        value = value.value_in_unit(unit.nanometer)
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name}: got shape {array.shape}, expected {shape}, in nm")
    return array
