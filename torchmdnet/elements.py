"""Chemical elements: symbols and masses, index = atomic number (0 is no element).

Masses are IUPAC 2016 standard atomic weights in amu as in ``ase.data``; index 0 has mass 1.
"""

from ase.data import atomic_masses_iupac2016, chemical_symbols

__all__ = ["ATOMIC_MASSES", "SYMBOLS"]

SYMBOLS: tuple[str, ...] = tuple(chemical_symbols)
ATOMIC_MASSES: tuple[float, ...] = tuple(float(mass) for mass in atomic_masses_iupac2016)
