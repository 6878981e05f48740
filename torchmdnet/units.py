"""Physical constants and conversion factors.

Inside the package: eV, Å, e, fs, amu. Conversions happen in data sets and calculators only. Values are CODATA 2018
(Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021)) unless a name says otherwise; a test recomputes them.
"""

__all__ = [
    "AVOGADRO",
    "BOHR_IN_ANGSTROM",
    "COULOMB_CONSTANT",
    "DEBYE_IN_E_ANGSTROM",
    "EV_IN_JOULE",
    "HARTREE_IN_EV",
    "KCAL_PER_MOL_IN_EV",
    "KJ_PER_MOL_IN_EV",
]

AVOGADRO = 6.02214076e23
"""Particles in a mole (exact)."""

EV_IN_JOULE = 1.602176634e-19
"""1 eV in J, and the elementary charge in C (exact)."""

HARTREE_IN_EV = 27.211386245988
"""1 Hartree in eV."""

BOHR_IN_ANGSTROM = 0.529177210903
"""1 Bohr in Å."""

KJ_PER_MOL_IN_EV = 1000.0 / (AVOGADRO * EV_IN_JOULE)
"""1 kJ/mol in eV (exact constants)."""

KCAL_PER_MOL_IN_EV = 4.184 * KJ_PER_MOL_IN_EV
"""1 thermochemical kcal/mol in eV (exact constants)."""

COULOMB_CONSTANT = HARTREE_IN_EV * BOHR_IN_ANGSTROM
"""e²/(4πε₀) in eV Å."""

DEBYE_IN_E_ANGSTROM = 1e-21 / 299792458.0 / EV_IN_JOULE * 1e10
"""1 Debye in e Å (exact constants)."""
