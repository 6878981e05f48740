"""Units of the numbers in a user's file, converted to eV and Å when the file is read."""

from typing import NamedTuple

from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, KCAL_PER_MOL_IN_EV, KJ_PER_MOL_IN_EV

__all__ = ["ENERGY_UNITS", "LENGTH_UNITS", "FileUnits", "file_units"]

ENERGY_UNITS: dict[str, float] = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": HARTREE_IN_EV,
    "Ha": HARTREE_IN_EV,
    "Rydberg": 0.5 * HARTREE_IN_EV,
    "Ry": 0.5 * HARTREE_IN_EV,
    "kcal/mol": KCAL_PER_MOL_IN_EV,
    "kJ/mol": KJ_PER_MOL_IN_EV,
}
"""Energy units by name, in eV."""

LENGTH_UNITS: dict[str, float] = {
    "Ang": 1.0,
    "Angstrom": 1.0,
    "Å": 1.0,
    "Bohr": BOHR_IN_ANGSTROM,
    "nm": 10.0,
    "pm": 0.01,
}
"""Length units by name, in Å."""


class FileUnits(NamedTuple):
    """Factors that take the numbers of a file to eV and Å."""

    energy: float = 1.0
    length: float = 1.0

    def factor(self, field: str) -> float:
        """What a field of the file is multiplied with: forces are energy/length, stress is energy/length³."""
        return {
            "pos": self.length,
            "box": self.length,
            "y": self.energy,
            "neg_dy": self.energy / self.length,
            "stress": self.energy / self.length**3,
            "dp": self.length,
        }.get(field, 1.0)


def file_units(energy_unit: str, length_unit: str) -> FileUnits:
    """Look two unit names up.

    Raises:
        ValueError: a name is not in ``ENERGY_UNITS`` or ``LENGTH_UNITS``.
    """
    return FileUnits(
        _look_up("energy_unit", energy_unit, ENERGY_UNITS), _look_up("length_unit", length_unit, LENGTH_UNITS)
    )


def _look_up(option: str, name: str, table: dict[str, float]) -> float:
    by_lower_case = {known.lower(): value for known, value in table.items()}
    if not isinstance(name, str) or name.lower() not in by_lower_case:
        raise ValueError(f"{option}: {name!r} is not a unit known here; choose one of {', '.join(table)}")
    return by_lower_case[name.lower()]
