"""Options of priors that have no sense are one clear error, whichever prior it is."""

from typing import Any

import pytest

from torchmdnet.priors import D2, PRIORS, ZBL, Coulomb


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ZBL", {"cutoff_distance": "ten"}, "ZBL: 'cutoff_distance' must be a number above 0, not 'ten'"),
        ("D2", {"cutoff_distance": -1}, "D2: 'cutoff_distance' must be a number above 0, not -1"),
        ("D2", {"cutoff_distance": True}, "D2: 'cutoff_distance' must be a number above 0, not True"),
        ("ZBL", {"cutoff_distance": 4, "energy_scale": "eV"}, "ZBL: 'energy_scale' must be a number above 0, not 'eV'"),
        (
            "Coulomb",
            {"lower_switch_distance": "a", "upper_switch_distance": 1},
            "Coulomb: 'lower_switch_distance' must be a number, not 'a'",
        ),
    ],
)
def test_refuses_what_is_no_number(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PRIORS[name](**arguments)


def test_whole_numbers_are_numbers() -> None:
    assert ZBL(4).cutoff_distance == D2(4).cutoff_distance == 4.0
    assert Coulomb(0, 1).upper_switch_distance == 1.0
