"""Units as attributes of HDF5 files say them: ``Å : ångströms``, ``E_h : hartree``, ``vector : Hartree/Bohr``."""

import re
from typing import Any

import numpy as np

from torchmdnet.datasets.validation import DatasetError
from torchmdnet.units import BOHR_IN_ANGSTROM, DEBYE_IN_E_ANGSTROM, HARTREE_IN_EV, KCAL_PER_MOL_IN_EV, KJ_PER_MOL_IN_EV

__all__ = ["factor_of_units"]

LENGTHS = {
    **dict.fromkeys(("å", "ang", "angstrom", "angstroms", "ångström", "ångströms"), 1.0),
    **dict.fromkeys(("bohr", "a0", "a_0"), BOHR_IN_ANGSTROM),
    "nm": 10.0,
}
ENERGIES = {
    "ev": 1.0,
    **dict.fromkeys(("hartree", "hartrees", "eh", "e_h", "ha"), HARTREE_IN_EV),
    **dict.fromkeys(("kcal/mol", "kcal*mol^-1"), KCAL_PER_MOL_IN_EV),
    "kj/mol": KJ_PER_MOL_IN_EV,
}
CHARGES = dict.fromkeys(("e", "elementary charge", "elementary charges", "fractional electrons"), 1.0)
FORCES = {f"{energy}/{length}": ENERGIES[energy] / LENGTHS[length] for energy in ENERGIES for length in LENGTHS}
DIPOLES = {
    **dict.fromkeys(("d", "debye", "debyes"), DEBYE_IN_E_ANGSTROM),
    **{f"e{sign}{length}": factor for length, factor in LENGTHS.items() for sign in ("", " ", "*")},
}
KNOWN = {"length": LENGTHS, "energy": ENERGIES, "force": FORCES, "charge": CHARGES, "dipole": DIPOLES}


def factor_of_units(holder: Any, quantity: str, *, where: str) -> float:
    """What numbers are multiplied with to be in Å, eV, eV/Å, e or e Å.

    Args:
        holder: an HDF5 group or array with an attribute ``units``; of a text ``symbol : name`` either may be known.
        quantity: "length", "energy", "force", "charge" or "dipole".
        where: name of the holder for messages.

    Raises:
        DatasetError: there is no such attribute, or it is none of the units known.
    """
    given = holder.attrs.get("units")
    if given is None:
        raise DatasetError(f"{where} has no attribute 'units', so its numbers could be anything")
    text = given.decode() if isinstance(given, bytes) else str(np.asarray(given).item())
    for part in text.split(":"):
        name = re.sub(r"\s*([/*])\s*", r"\1", part.strip().lower().replace("·", "*"))
        if name in KNOWN[quantity]:
            return KNOWN[quantity][name]
    raise DatasetError(f"{where} has units {text!r}; known for {quantity} are {', '.join(KNOWN[quantity])}")
