"""Repulsion of screened nuclei."""

import itertools
import math

import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.nn.screened_repulsion import RepulsionZBL, ScreenedRepulsion, polynomial_envelope, universal_screening
from torchmdnet.potential import TorchMD_Net


def pair_energy(z_i: int, z_j: int, d: float) -> float:
    """The formula, number by number."""
    x = d / (0.4543 * 0.52917721067 / (z_i**0.3 + z_j**0.3))
    decays = ((0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016))
    screening = sum(factor * math.exp(-rate * x) for factor, rate in decays)
    r = d / (covalent_radii[z_i] + covalent_radii[z_j])
    envelope = 1 - 28 * r**6 + 48 * r**7 - 21 * r**8 if r < 1 else 0.0
    return 14.399645 * z_i * z_j / d * screening * envelope


def term(z: Tensor, pos: Tensor, **changes: object) -> Tensor:
    """What the option adds to the energies of atoms, all other weights alike."""
    plain, with_term = models(**changes)
    energies = [model.compute(z, pos, energies=True).energies for model in (plain, with_term)]
    return energies[1] - energies[0]


def models(**changes: object) -> tuple[TorchMD_Net, TorchMD_Net]:
    plain = small_model("tensornet2", **changes)
    with_term = small_model("tensornet2", repulsion=True, **changes)
    with_term.load_state_dict(with_term.state_dict() | plain.state_dict())
    return plain, with_term


def test_atoms_share_the_energies_of_their_pairs() -> None:
    z, pos, _ = two_molecules()
    z, pos = z[:5], pos[:5] * 0.6
    expected = np.zeros(5)
    for i, j in itertools.combinations(range(5), 2):
        energy = pair_energy(int(z[i]), int(z[j]), float((pos[i] - pos[j]).norm()))
        expected[[i, j]] += energy / 2
    assert expected.max() > 1
    np.testing.assert_allclose(term(z, pos)[:, 0].numpy(), expected, rtol=1e-9)


def test_heavy_pairs_end_at_the_cutoff_of_the_model() -> None:
    z = torch.tensor([55, 55])
    for d, is_near in ((1.4, True), (1.6, False)):
        pos = torch.tensor([[0.0, 0, 0], [d, 0, 0]], dtype=torch.float64)
        assert bool(term(z, pos, max_z=100, cutoff_upper=1.5).abs().max() > 1e-6) is is_near


def test_coincident_atoms_have_a_huge_energy_and_finite_forces() -> None:
    _, model = models()
    energy, forces = model(torch.tensor([6, 6]), torch.zeros(2, 3, dtype=torch.float64))
    assert 1e6 < float(energy) < math.inf
    assert bool(torch.isfinite(forces).all())


def test_images_repel_too() -> None:
    z = torch.tensor([6])
    box = torch.diag(torch.tensor([1.2, 20, 20], dtype=torch.float64))
    plain, with_term = models()
    pos = torch.zeros(1, 3, dtype=torch.float64)
    added = with_term.compute(z, pos, box=box).energy - plain.compute(z, pos, box=box).energy
    np.testing.assert_allclose(float(added), pair_energy(6, 6, 1.2), rtol=1e-9)


def test_forces_are_the_slope_of_the_energy() -> None:
    z, pos, _ = two_molecules()
    z, pos = z[:3], pos[:3] * 0.5
    _, model = models()
    _, forces = model(z, pos)
    for atom, axis in itertools.product(range(3), range(3)):
        step = torch.zeros_like(pos)
        step[atom, axis] = 1e-5
        slope = (model(z, pos + step)[0] - model(z, pos - step)[0]) / 2e-5
        torch.testing.assert_close(-slope[0, 0], forces[atom, axis], rtol=1e-6, atol=1e-7)


def test_elements_beyond_the_table_count_as_its_last() -> None:
    tables = ScreenedRepulsion(200, 4.0)
    assert tables.z_pow.shape == (119,)
    assert tables.cutoff_ab[1, 6] == covalent_radii[1] + covalent_radii[6]
    assert tables.z_outer[0].tolist() == [1.0, *range(1, 119)]


def test_counts_before_the_deviation() -> None:
    z, pos, _ = two_molecules()
    plain, with_term = models()
    once = (with_term(z, pos)[0] - plain(z, pos)[0]).detach()
    for model in (plain, with_term):
        model.std.fill_(2.0)
    torch.testing.assert_close(with_term(z, pos)[0] - plain(z, pos)[0], 2 * once)


def test_screening_and_envelope_start_at_one() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert float(universal_screening(zero)) == pytest.approx(1.0, abs=1e-4)
    assert polynomial_envelope(torch.tensor([0.0, 1.0, 2.0]), 6).tolist() == [1.0, 0.0, 0.0]


def test_a_head_that_is_no_energy_is_refused() -> None:
    with pytest.raises(ValueError, match="DipoleMoment is no energy, which the repulsion of TensorNet2 adds to"):
        small_model("tensornet2", repulsion=True, output_model="DipoleMoment", derivative=False)


THERE = [10.129817156894934, 0.20344953949176545, 0.0]
"""What TorchMD-NET 3.1.0 gives oxygen, hydrogen and carbon for the pairs below, frozen; its tables are float32."""


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-6), (torch.float32, 3e-6)])
def test_a_list_of_pairs_has_the_energies_of_torchmd_net(dtype: torch.dtype, rtol: float) -> None:
    z, pairs = torch.tensor([8, 1, 6]), torch.tensor([[0, 0, 1, 2], [1, 2, 1, 2]])
    energy = RepulsionZBL()(z, pairs, torch.tensor([0.5, 0.6, 0.5, 0.0], dtype=dtype))
    assert energy.dtype == dtype
    torch.testing.assert_close(energy, torch.tensor(THERE, dtype=dtype), rtol=rtol, atol=0)
    half = [(pair_energy(8, 1, 0.5) + pair_energy(8, 6, 0.6)) / 2, pair_energy(1, 1, 0.5) / 2, 0]
    np.testing.assert_allclose(energy.numpy(), half, rtol=rtol)


def test_a_list_of_pairs_has_first_and_second_derivatives() -> None:
    z, pairs = torch.tensor([8, 1, 6]), torch.tensor([[0, 0, 1], [1, 2, 2]])
    distance = torch.tensor([0.5, 0.6, 1.0], dtype=torch.float64, requires_grad=True)
    model = RepulsionZBL()
    assert torch.autograd.gradcheck(lambda d: model(z, pairs, d), distance)
    assert torch.autograd.gradgradcheck(lambda d: model(z, pairs, d), distance)


def test_no_pairs_and_no_atoms_have_no_energy() -> None:
    none = torch.zeros(2, 0, dtype=torch.long)
    assert RepulsionZBL()(torch.tensor([8, 1]), none, torch.zeros(0)).tolist() == [0, 0]
    assert RepulsionZBL()(torch.zeros(0, dtype=torch.long), none, torch.zeros(0)).shape == (0,)


def test_the_tables_are_those_of_torchmd_net() -> None:
    shapes = {name: tuple(table.shape) for name, table in RepulsionZBL().state_dict().items()}
    assert shapes == {"z_pow": (87,), "z_outer": (87, 87), "cutoff_ab": (87, 87)}
