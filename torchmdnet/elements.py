"""Chemical elements: symbols, masses and radii, index = atomic number (0 is no element).

Masses are IUPAC 2016 standard atomic weights in amu as in ``ase.data``; index 0 has mass 1. Radii are the covalent
radii of Cordero et al. 2008 in Å as in ``ase.data``; elements without one, and index 0, have 0.2.
"""

from ase.data import atomic_masses_iupac2016, chemical_symbols, covalent_radii

__all__ = ["ATOMIC_MASSES", "ATOMIC_NUMBERS", "COVALENT_RADII", "SYMBOLS"]

SYMBOLS: tuple[str, ...] = tuple(chemical_symbols)
ATOMIC_NUMBERS: dict[str, int] = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
"""The other way round, without the symbol of no element."""
ATOMIC_MASSES: tuple[float, ...] = tuple(float(mass) for mass in atomic_masses_iupac2016)
COVALENT_RADII: tuple[float, ...] = tuple(float(radius) for radius in covalent_radii)
