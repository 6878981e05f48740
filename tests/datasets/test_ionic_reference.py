"""Reference energies of molecules as sums over free atoms and ions."""

import numpy as np
import pytest

from torchmdnet.datasets import DatasetError
from torchmdnet.datasets.ionic_reference import ION_ENERGIES, ionic_reference
from torchmdnet.units import HARTREE_IN_EV

HYDROGEN, CARBON, OXYGEN, FLUORINE = (ION_ENERGIES[z] for z in (1, 6, 8, 9))


@pytest.mark.parametrize(
    ("numbers", "charge", "expected"),
    [
        # Hydrogen, nitrogen and oxygen are lowest as atoms, carbon and fluorine as anions
        ((1, 1, 8), 0, 2 * HYDROGEN[0] + OXYGEN[0]),
        ((6,), -1, CARBON[-1]),
        ((6,), 0, CARBON[0]),
        ((9, 1), -1, FLUORINE[-1] + HYDROGEN[0]),
        # Taking the electron from carbon's anion costs least
        ((6, 9), -1, CARBON[0] + FLUORINE[-1]),
        # Then carbon is ionised before hydrogen: 0.4212 against 0.5013 Hartree
        ((6, 1), 1, CARBON[1] + HYDROGEN[0]),
        ((1, 1), 2, 2 * HYDROGEN[1]),
    ],
)
def test_charges_go_where_they_cost_least(numbers: tuple[int, ...], charge: int, expected: float) -> None:
    assert ionic_reference(numbers, charge, where="here") == pytest.approx(expected, abs=1e-12)


def test_does_not_depend_on_the_order_of_atoms() -> None:
    numbers = np.random.default_rng(0).permutation([6, 6, 7, 8, 9, 1, 1, 1])
    assert ionic_reference(numbers.tolist(), 1, where="") == ionic_reference(sorted(numbers.tolist()), 1, where="")


def test_energies_are_in_ev() -> None:
    assert ionic_reference([1], 0, where="") == pytest.approx(-0.5013312007 * HARTREE_IN_EV)


def test_a_charge_beyond_the_ions_is_told() -> None:
    with pytest.raises(DatasetError, match="m1: its atoms cannot carry a charge of 2 e together, each at most one"):
        ionic_reference([1], 2, where="m1")
