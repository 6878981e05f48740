"""Electrostatics of given charges."""

import pytest
import torch
from torch import Tensor

from torchmdnet.priors import Coulomb

NA_CL = torch.tensor([1.0, -1.0], dtype=torch.float64)


def pair_energy(prior: Coulomb, distance: float, charges: Tensor = NA_CL, box: Tensor | None = None) -> float:
    pos = torch.tensor([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], dtype=torch.float64)
    batch, z = torch.zeros(2, dtype=torch.int64), torch.tensor([11, 17])
    y = torch.zeros((1, 1), dtype=torch.float64)
    return prior.double().post_reduce(y, z, pos, batch, box, {"partial_charges": charges}).item()


def test_an_ion_pair_in_angstrom_and_electronvolt_has_its_textbook_energy() -> None:
    assert pair_energy(Coulomb(0.1, 0.2), 5.0) == pytest.approx(-14.3996454785 / 5.0, rel=1e-9)


def test_units_of_nm_and_kj_per_mol_give_the_same_energy() -> None:
    prior = Coulomb(0.1, 0.2, distance_scale=1e-9, energy_scale=1000 / 6.02214076e23)
    assert pair_energy(prior, 0.5) == pytest.approx(-14.3996454785 / 5.0 * 96.48533212, rel=1e-9)


def test_is_switched_off_at_short_distance() -> None:
    prior = Coulomb(0.2, 0.4)
    assert pair_energy(prior, 1.9) == 0.0
    assert pair_energy(prior, 3.0) == pytest.approx(0.5 * -14.3996454785 / 3.0, rel=1e-9)


def test_old_checkpoints_keep_their_prefactor() -> None:
    """Their arguments hold initial_box; the energies they were trained with are ten times too large in Å."""
    old = Coulomb(**{"lower_switch_distance": 0.1, "upper_switch_distance": 0.2, "max_num_neighbors": 32,
                     "distance_scale": 1e-10, "energy_scale": 1.602176634e-19, "initial_box": None})  # fmt: skip
    new = Coulomb(0.1, 0.2)
    assert old.nm_prefactor
    assert not new.nm_prefactor
    assert pair_energy(old, 5.0) == pytest.approx(10 * pair_energy(new, 5.0), rel=1e-5)
    assert Coulomb(**old.get_init_args()).nm_prefactor


def test_both_names_of_the_default_box_are_understood() -> None:
    box = [[10.0, 0, 0], [0, 10.0, 0], [0, 0, 10.0]]
    for prior in (Coulomb(0.01, 0.02, box_vecs=box), Coulomb(0.01, 0.02, initial_box=box, nm_prefactor=False)):
        assert pair_energy(prior, 9.0) == pytest.approx(-14.3996454785, rel=1e-6)
    with pytest.raises(ValueError, match="'box_vecs' and 'initial_box' are two names of one option"):
        Coulomb(0.1, 0.2, box_vecs=box, initial_box=box)


def test_a_periodic_pair_counts_at_its_nearest_image() -> None:
    box = torch.tensor([[6.0, 0, 0], [2.0, -7.0, 0], [1.0, 1.0, 9.0]], dtype=torch.float64)
    assert pair_energy(Coulomb(0.01, 0.02), 5.0, box=box) == pytest.approx(-14.3996454785 / 1.0, rel=1e-9)


def test_equally_near_images_count_together_once() -> None:
    box = torch.eye(3, dtype=torch.float64) * 6
    assert pair_energy(Coulomb(0.01, 0.02), 3.0, box=box) == pytest.approx(-14.3996454785 / 3.0, rel=1e-9)


def test_asks_for_charges() -> None:
    prior = Coulomb(0.1, 0.2)
    arguments = (torch.zeros((1, 1)), torch.tensor([1, 1]), torch.rand((2, 3)), torch.tensor([0, 0]), None)
    with pytest.raises(KeyError, match="the prior Coulomb needs the charge of each atom"):
        prior.post_reduce(*arguments, {})
    with pytest.raises(ValueError, match="3 partial charges for 2 atoms"):
        prior.post_reduce(*arguments, {"partial_charges": torch.zeros(3)})


def test_refuses_switching_distances_out_of_order() -> None:
    with pytest.raises(ValueError, match=r"want 0 <= lower_switch_distance < upper_switch_distance, not 0\.4 and 0\.2"):
        Coulomb(0.4, 0.2)
