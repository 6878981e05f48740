"""A model as a calculator of the Atomic Simulation Environment."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from torchmdnet.calculators.opening import ModelSource, open_model, parse_device
from torchmdnet.potential import Prediction, TorchMD_Net
from torchmdnet.potential.references import FixedReferences

__all__ = ["TMDNETCalculator"]

STATE_IN_INFO = ("charge", "spin")
"""Entries of ``atoms.info`` that the model reads; each is 0 where absent."""


class TMDNETCalculator(Calculator):
    r"""Energy, forces, stress and energies per atom from a trained model.

    Results are in the model's units, eV and Å for every data set that is stored in these. The stress is
    :math:`\sigma = V^{-1}\,\partial E/\partial\varepsilon` in ASE's order xx, yy, zz, yz, xz, xy (tension positive).
    Total charge and spin are ``atoms.info["charge"]`` and ``atoms.info["spin"]``, 0 by default; changing them
    makes the next call compute anew. Each axis is periodic as ``atoms.pbc`` says, in any cell.

    Args:
        model_file: Checkpoint, list of checkpoints (an ensemble), zip of checkpoints, or a model, which is copied.
        device: Where it runs.
        dtype: Of the model and its arithmetic; None: float32 for files, a given model's own.
        compile: Must be False: compiled models are not part of this version.
        remove_ref_energy: For models trained with ``remove_ref_energy``: leave the atoms' reference energies out.
        max_num_neighbors: Accepted for compatibility; neighbour lists have no limit.
        **kwargs: Options that replace those in the file.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: The file is no checkpoint, there is no such device, or ``compile`` is asked for.
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
        if compile:
            raise ValueError("compile=True is not available in this version; leave it out")
        if remove_ref_energy is not None:
            kwargs["remove_ref_energy"] = remove_ref_energy
        if max_num_neighbors is not None:
            kwargs["max_num_neighbors"] = max_num_neighbors
        self.device = parse_device(device)
        self.model = open_model(model_file, device=device, dtype=dtype, **kwargs)
        members = [self.model] if isinstance(self.model, TorchMD_Net) else list(self.model)
        self.references = [FixedReferences(member) for member in members if isinstance(member, TorchMD_Net)]
        self.dtype = next(parameter.dtype for parameter in self.model.parameters() if parameter.is_floating_point())

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
        box, pbc = self._periodicity(atoms)
        wants_derivatives = bool({"forces", "stress"} & set(properties))
        z = torch.as_tensor(atoms.numbers, dtype=torch.int64, device=self.device)
        with ExitStack() as stack:
            for references in self.references:
                stack.enter_context(references.left_out())
            prediction = self.model.compute(
                z,
                self._tensor(atoms.positions),
                torch.zeros_like(z),
                box=box,
                pbc=pbc,
                q=self._tensor([_total(atoms, "charge")]),
                s=self._tensor([_total(atoms, "spin")]),
                num_systems=1,
                forces=wants_derivatives,
                stress=wants_derivatives and has_volume,
                energies="energies" in properties,
            )
        self._keep(prediction, torch.stack([member.left_out_energies(z) for member in self.references]).mean(0))

    def _keep(self, prediction: Prediction, constants: Tensor) -> None:
        """Fill ``results``; the atoms' constants, (N, 1) float64, are added where no digit of the rest is lost."""
        self.results["energy"] = self.results["free_energy"] = prediction.energy.item() + constants.sum().item()
        if prediction.forces is not None:
            self.results["forces"] = _array(prediction.forces)
        if prediction.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(_array(prediction.stress)[0])
        if prediction.energies is not None:
            self.results["energies"] = (_array(prediction.energies) + _array(constants))[:, 0]

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)

    def _periodicity(self, atoms: Atoms) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Box and pbc; None for a system without periodic axes. Missing vectors of open axes are made up."""
        if not atoms.pbc.any():
            return None, None
        missing = [axis for k, axis in enumerate("abc") if atoms.pbc[k] and not atoms.cell[k].any()]
        if missing:
            raise ValueError(
                f"pbc is on along {', '.join(missing)} but the cell has no vector there: set the cell or switch it off"
            )
        box = self._tensor(atoms.cell.complete().array).reshape(1, 3, 3)
        return box, torch.as_tensor(atoms.pbc, device=self.device).reshape(1, 3)


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


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)
