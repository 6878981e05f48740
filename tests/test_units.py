"""Every constant of torchmdnet.units, recomputed from CODATA as SciPy tabulates it."""

import pytest
from scipy import constants

from torchmdnet import units

CODATA_2022_TO_2018 = 1e-9
"""SciPy's table may be of a later adjustment; measured constants moved by less than this between 2018 and 2022."""

EXACT = 1e-15

EV = constants.physical_constants["electron volt"][0]
"""J, exact since 2019."""

EXPECTED = {
    "AVOGADRO": (constants.N_A, EXACT),
    "EV_IN_JOULE": (EV, EXACT),
    "HARTREE_IN_EV": (constants.physical_constants["Hartree energy in eV"][0], CODATA_2022_TO_2018),
    "BOHR_IN_ANGSTROM": (constants.physical_constants["Bohr radius"][0] / constants.angstrom, CODATA_2022_TO_2018),
    "KJ_PER_MOL_IN_EV": (constants.kilo / constants.N_A / EV, EXACT),
    "KCAL_PER_MOL_IN_EV": (constants.kilo * constants.calorie_th / constants.N_A / EV, EXACT),
    "COULOMB_CONSTANT": (
        constants.e**2 / (4 * constants.pi * constants.epsilon_0) / EV / constants.angstrom,
        CODATA_2022_TO_2018,
    ),
    "DEBYE_IN_E_ANGSTROM": (1e-21 / constants.c / constants.e / constants.angstrom, EXACT),
}
"""Constant to (value, relative tolerance)."""


def test_every_constant_is_recomputed() -> None:
    assert sorted(EXPECTED) == sorted(units.__all__)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_constant_is_that_of_codata(name: str) -> None:
    value, tolerance = EXPECTED[name]
    assert getattr(units, name) == pytest.approx(value, rel=tolerance, abs=0)
