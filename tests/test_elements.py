"""Symbols, masses and radii of the elements, indexed by atomic number."""

import pytest

from torchmdnet.elements import ATOMIC_MASSES, COVALENT_RADII, SYMBOLS


def test_index_is_the_atomic_number() -> None:
    assert [SYMBOLS.index(symbol) for symbol in ("H", "C", "Fe", "U", "Og")] == [1, 6, 26, 92, 118]


def test_every_element_has_a_symbol_and_a_mass() -> None:
    assert len(SYMBOLS) == len(ATOMIC_MASSES) == 119
    assert all(mass > 0 for mass in ATOMIC_MASSES)


def test_no_element_has_mass_one() -> None:
    assert ATOMIC_MASSES[0] == 1.0


@pytest.mark.parametrize(
    ("symbol", "mass"), [("H", 1.008), ("C", 12.011), ("O", 15.999), ("Cl", 35.45), ("U", 238.02891)]
)
def test_masses_are_the_iupac_2016_standard_weights(symbol: str, mass: float) -> None:
    assert ATOMIC_MASSES[SYMBOLS.index(symbol)] == mass


@pytest.mark.parametrize(("symbol", "radius"), [("H", 0.31), ("C", 0.76), ("O", 0.66), ("Cl", 1.02), ("Fe", 1.32)])
def test_radii_are_those_of_cordero(symbol: str, radius: float) -> None:
    assert COVALENT_RADII[SYMBOLS.index(symbol)] == radius
