"""A model as a calculator of the Atomic Simulation Environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from torchmdnet.calculators.opening import ModelSource
from torchmdnet.calculators.served import Answer, Question, ServedModel

__all__ = ["TMDNETCalculator"]

STATE_IN_INFO = ("charge", "spin")
"""Entries of ``atoms.info`` that the model reads; each is 0 where absent."""


class TMDNETCalculator(Calculator):
    r"""Energy, forces, stress and energies per atom from a trained model.

    Results are in the model's units, eV and Å for every data set that is stored in these. The stress is
    :math:`\sigma = V^{-1}\,\partial E/\partial\varepsilon` in ASE's order xx, yy, zz, yz, xz, xy (tension positive).
    Total charge and spin are ``atoms.info["charge"]`` and ``atoms.info["spin"]``, 0 by default; changing them
    makes the next call compute anew. Each axis is periodic as ``atoms.pbc`` says, in any cell.

    An ensemble gives the mean of its members. How much they differ, as the unbiased standard deviation, is beside each
    quantity in ``results``: ``energy_std``, ``forces_std``, ``stress_std``, ``energies_std``.

    Args:
        model_file: Checkpoint, list of checkpoints (an ensemble), zip of checkpoints, or a model, which is copied.
        device: Where it runs.
        dtype: Of the model and its arithmetic; None: float32 for files, a given model's own.
        compile: Whether the model is compiled by ``torch.compile``. The first call for new atomic numbers runs
            uncompiled, the second one compiles, which takes up to minutes. For many steps with the same atoms.
        remove_ref_energy: For models trained with ``remove_ref_energy``: leave the atoms' reference energies out.
        max_num_neighbors: Accepted for compatibility; neighbour lists have no limit.
        **kwargs: Options that replace those in the file; ``radial_tables`` and ``skin`` as in :func:`open_model`.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: The file is no checkpoint, or there is no such device.
        TypeError: ``model_file`` is no model, or a keyword is no option.
    """

    # Declared as in the base class.
    implemented_properties: list[str] = ["energy", "free_energy", "forces", "stress", "energies"]  # noqa: RUF012

    def __init__(
        self,
        model_file: ModelSource,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
        compile: bool = False,
        *,
        remove_ref_energy: bool | None = None,
        max_num_neighbors: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if remove_ref_energy is not None:
            kwargs["remove_ref_energy"] = remove_ref_energy
        if max_num_neighbors is not None:
            kwargs["max_num_neighbors"] = max_num_neighbors
        self._served = ServedModel(model_file, device=device, dtype=dtype, compile=compile, **kwargs)
        self.model = self._served.model
        self.device = self._served.device
        self.dtype = self._served.dtype

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What differs from the last calculation, charge and spin included."""
        changes: list[str] = super().check_state(atoms, tol=tol)
        if self.atoms is not None:
            changes += [name for name in STATE_IN_INFO if _total(self.atoms, name) != _total(atoms, name)]
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill ``results``. Asking for forces brings the stress of a periodic system along: it costs next to nothing.

        Raises:
            PropertyNotImplementedError: Stress of a system without periodic axes or without three cell vectors.
            ValueError: An axis is periodic but has no cell vector, or what the model refuses.
        """
        super().calculate(atoms, properties, system_changes)
        if self.atoms is None:
            raise ValueError("there are no atoms to calculate: call atoms.get_potential_energy() or pass atoms")
        atoms = self.atoms
        has_volume = bool(atoms.pbc.any()) and atoms.cell.rank == 3
        if "stress" in properties and not has_volume:
            raise PropertyNotImplementedError(
                f"stress needs a periodic axis and three cell vectors; got pbc {atoms.pbc.tolist()} and a cell of "
                f"rank {atoms.cell.rank}"
            )
        # What is compiled is the same for all that may be asked.
        wants_derivatives = self._served.compile or bool({"forces", "stress"} & set(properties))
        question = Question(
            numbers=atoms.numbers,
            positions=atoms.positions,
            charge=_total(atoms, "charge"),
            spin=_total(atoms, "spin"),
            forces=wants_derivatives,
            stress=wants_derivatives and has_volume,
            energies="energies" in properties,
        )
        if atoms.pbc.any():
            question = question._replace(box=_box(atoms), pbc=atoms.pbc)
        answer, deviation = self._served(question)
        self.results |= _results(answer)
        self.results["free_energy"] = self.results["energy"]
        if deviation is not None:
            self.results |= {f"{name}_std": value for name, value in _results(deviation).items()}


def _results(answer: Answer) -> dict[str, Any]:
    """What there is, under ASE's names and in its shapes."""
    results: dict[str, Any] = {"energy": answer.energy.item(), "forces": answer.forces, "energies": answer.energies}
    if answer.stress is not None:
        results["stress"] = full_3x3_to_voigt_6_stress(answer.stress)
    return {name: value for name, value in results.items() if value is not None}


def _box(atoms: Atoms) -> np.ndarray:
    """Cell vectors; those that open axes lack are made up."""
    missing = [axis for k, axis in enumerate("abc") if atoms.pbc[k] and not atoms.cell[k].any()]
    if missing:
        raise ValueError(
            f"pbc is on along {', '.join(missing)} but the cell has no vector there: set the cell or switch it off"
        )
    box: np.ndarray = atoms.cell.complete().array
    return box


def _total(atoms: Atoms, name: str) -> float:
    """Charge or spin of the system, 0 where ``atoms.info`` does not give it.

    Raises:
        ValueError: The entry is no number.
    """
    value = atoms.info.get(name, 0.0)
    try:
        return float(np.asarray(value, dtype=np.float64).item())
    except (TypeError, ValueError) as error:
        raise ValueError(f"atoms.info['{name}']: got {value!r}, expected a number") from error
