"""A model as a force of OpenMM."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torchmdnet.calculators.opening import ModelSource
from torchmdnet.calculators.openmm_package import app, openmm, unit
from torchmdnet.calculators.served import Question, ServedModel
from torchmdnet.units import KJ_PER_MOL_IN_EV

__all__ = ["openmm_force"]

ANGSTROM_IN_NM = 0.1


def openmm_force(
    model_file: ModelSource,
    atoms: app.Topology | Sequence[int],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    *,
    charge: float = 0.0,
    spin: float = 0.0,
    periodic: bool | None = None,
    particles: Sequence[int] | None = None,
    group: int = 0,
    compile: bool = False,
    **kwargs: Any,
) -> openmm.PythonForce:
    r"""A force for ``system.addForce``, on any platform of OpenMM, with the box that the simulation has at each step.

    Lengths go from nm to Å, energies from eV to kJ/mol. The energy is the whole one, in float64, reference energies of
    the atoms included. An ensemble gives the mean of its members. The force can be serialized with its system: OpenMM
    pickles it, model included.

    Args:
        model_file: Checkpoint, list of checkpoints (an ensemble), zip of checkpoints, or a model, which is copied.
        atoms: Topology, or atomic numbers, of all particles of the system.
        device: Where the model runs.
        dtype: Of the model and its arithmetic; None: float32 for files, a given model's own.
        charge: Total charge of the atoms that the model describes, e.
        spin: Their spin.
        periodic: Whether the box repeats along all three axes; None: if the topology has a box.
        particles: The atoms that the model describes, others being left to other forces; None for all.
        group: Force group.
        compile: Whether the model is compiled by ``torch.compile``, at the second step, which takes up to minutes.
        **kwargs: Options that replace those in the file; ``radial_tables`` and ``skin`` as in :func:`open_model`.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: A particle has no element, an index in ``particles`` is no particle or there twice, the file is no
            checkpoint, or there is no such device.
        TypeError: ``model_file`` is no model, charge or spin is no number, or a keyword is no option.
    """
    numbers = numbers_of(atoms, particles)
    if periodic is None:
        periodic = isinstance(atoms, app.Topology) and atoms.getPeriodicBoxVectors() is not None
    question = Question(
        numbers=numbers,
        positions=np.zeros((len(numbers), 3)),
        charge=number("charge", charge),
        spin=number("spin", spin),
    )
    served = ServedModel(model_file, device=device, dtype=dtype, compile=compile, **kwargs)
    force = openmm.PythonForce(_Computation(served, question, periodic=periodic))
    force.setUsesPeriodicBoundaryConditions(periodic)
    force.setForceGroup(group)
    if particles is not None:
        force.setParticles([int(index) for index in particles])
    return force


class _Computation:
    """What OpenMM calls at each step: a State to energy in kJ/mol and forces in kJ/mol/nm."""

    def __init__(self, served: ServedModel, question: Question, *, periodic: bool) -> None:
        self._served = served
        self._question = question
        self._periodic = periodic

    def __call__(self, state: openmm.State) -> tuple[float, np.ndarray]:
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        if len(positions) != len(self._question.numbers):
            raise ValueError(
                f"the force is for {len(self._question.numbers)} particles, the simulation gives it {len(positions)}: "
                "name those that the model describes with particles=..."
            )
        box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom) if self._periodic else None
        answer, _ = self._served(self._question._replace(positions=positions, box=box))
        if answer.forces is None:
            raise RuntimeError("the model gave no forces")
        return (
            answer.energy.item() / KJ_PER_MOL_IN_EV,
            answer.forces / (KJ_PER_MOL_IN_EV * ANGSTROM_IN_NM),
        )


def numbers_of(atoms: app.Topology | Sequence[int], particles: Sequence[int] | None = None) -> np.ndarray:
    """Atomic numbers of a topology's particles, or of those named by index; or the numbers themselves. (N,) int64

    Raises:
        ValueError: ``atoms`` is neither, an atom has no element, or an index is no particle or there twice.
    """
    if isinstance(atoms, app.Topology):
        elements = [atom.element for atom in atoms.atoms()]
        # Ask of what the model describes alone: virtual sites have no element.
        given = np.array([0 if element is None else element.atomic_number for element in elements], dtype=np.int64)
    else:
        given = np.asarray(atoms)
        if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"atoms: got {atoms!r}, expected an OpenMM Topology or atomic numbers such as [8, 1, 1]")
        elements = list(given)
    indices = list(range(len(given)) if particles is None else particles)
    for index in indices:
        if not 0 <= index < len(given):
            raise ValueError(f"particles: got index {index}, but there are {len(given)} particles, numbered from 0")
        if elements[index] is None:
            raise ValueError(
                f"particle {index} has no element: give the topology elements, or leave it out with particles=..."
            )
    if len(set(indices)) != len(indices):
        raise ValueError("particles: an index is there twice; name each particle once")
    return given[indices].astype(np.int64)


def number(name: str, value: Any) -> float:
    """A charge or spin, with or without OpenMM's units.

    Raises:
        TypeError: It is no number.
    """
    if isinstance(value, unit.Quantity):
        value = value.value_in_unit(unit.elementary_charge if name == "charge" else unit.dimensionless)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: got {value!r}, expected a number") from error
