"""Charges of elements as a user writes them."""

from typing import Any

import pytest

from torchmdnet.priors.charges import read_charges


def test_elements_are_named_by_symbol_or_number() -> None:
    assert read_charges({"Na": 1, 17: -1.0, "8": -2}) == {"Na": 1.0, "Cl": -1.0, "O": -2.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Nq": 1.0}, "'charges' has 'Nq', which is no element: give symbols or atomic numbers"),
        ({0: 1.0}, "'charges' has 0, which is no element"),
        ({119: 1.0}, "'charges' has 119, which is no element"),
        ({"Na": "1"}, "Ewald: 'charges: Na' must be a number, not '1'"),
        ({"Na": float("nan")}, "Ewald: 'charges: Na' must be a number, not nan"),
        ({"Na": True}, "Ewald: 'charges: Na' must be a number, not True"),
        ([1.0], r"'charges' must say the charge of each element, as in \{Na: 1\.0, Cl: -1\.0\}, not \[1\.0\]"),
        ({}, r"'charges' must say the charge of each element, as in \{Na: 1\.0, Cl: -1\.0\}, not \{\}"),
    ],
)
def test_refuses_what_is_no_charge_of_an_element(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_charges(given)
