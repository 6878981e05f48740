"""Options of priors that have no sense are one clear error, whichever prior it is."""

from typing import Any

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("kind", [torch.tensor, np.array, np.float64])
def test_a_scale_that_a_data_set_or_a_checkpoint_holds_as_an_array_is_a_number(kind: Any) -> None:
    given = {"cutoff_distance": 3.0, "distance_scale": kind(2.0**-30), "energy_scale": kind(2.0)}
    stored = D2(**given, atomic_number=[torch.tensor(0), torch.tensor(6)]).get_init_args()
    assert (stored["distance_scale"], stored["energy_scale"]) == (2.0**-30, 2.0)
    assert {type(stored[key]) for key in ("distance_scale", "energy_scale")} == {float}
    assert stored["atomic_number"] == [0, 6]


@pytest.mark.parametrize("value", [torch.ones(2), np.ones(1), torch.tensor(True), torch.tensor(float("nan"))])
def test_an_array_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="ZBL: 'energy_scale' must be a number above 0"):
        ZBL(4, energy_scale=value)


def test_whole_numbers_are_numbers() -> None:
    assert ZBL(4).cutoff_distance == D2(4).cutoff_distance == 4.0
    assert Coulomb(0, 1).upper_switch_distance == 1.0
