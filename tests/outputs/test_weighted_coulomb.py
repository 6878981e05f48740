"""Energy with a Coulomb term between predicted charges."""

import math
from typing import Any

import pytest
import torch
from small_models import OPTIONS, small_model, two_molecules
from torch import Tensor

from torchmdnet.checkpoint import load_model
from torchmdnet.graph import System
from torchmdnet.nn.representation import AtomFeatures
from torchmdnet.outputs.weighted_coulomb import ScalarPlusWeightedCoulomb, reaction_field, short_range_damping
from torchmdnet.potential import TorchMD_Net
from torchmdnet.units import COULOMB_CONSTANT

DAMPED = 4.6
Z, POS, BATCH = two_molecules()
Q = torch.tensor([1.0, -1.0], dtype=torch.float64)
BOX = torch.tensor([[7.0, 0.4, 0.2], [-0.5, 8.0, 0.3], [0.3, 0.6, 9.0]], dtype=torch.float64)


def head(**changes: Any) -> ScalarPlusWeightedCoulomb:
    """A head whose network gives zero: what it returns is the Coulomb term."""
    given = {"num_layers": 1, "q_dim": 1, "dtype": torch.float64} | changes
    silent = ScalarPlusWeightedCoulomb(4, **given)
    with torch.no_grad():
        silent.output_network.layers[-1].weight.zero_()
    return silent.requires_grad_(False)


def features(pos: Tensor, charges: Tensor, **system: Any) -> AtomFeatures:
    """Charges: (N, L + 1, K)"""
    atoms = torch.zeros(len(pos), dtype=torch.long)
    given = {"z": atoms, "pos": pos, "batch": atoms, "num_systems": 1} | system
    return AtomFeatures(torch.zeros(len(pos), 4, dtype=torch.float64), None, System(**given), charges)


def pair(distance: float) -> Tensor:
    return torch.tensor([[0.0, 0.0, 0.0], [0.0, distance, 0.0]], dtype=torch.float64)


def charges(first: float, second: float, *, sets: int = 2) -> Tensor:
    return torch.tensor([first, second], dtype=torch.float64)[:, None, None].expand(2, sets, 1)


def potential(**changes: Any) -> TorchMD_Net:
    given = {"output_model": "ScalarPlusWeightedCoulomb", "q_dim": 2, "q_weights": [0.5, [1.0, 0.2], 1.0]}
    return small_model("tensornet2", **given, **changes)


def test_distant_charges_have_the_energy_of_point_charges() -> None:
    terms = head().pre_reduce(features(pair(30.0), charges(0.5, -2.0)))
    expected = COULOMB_CONSTANT * 0.5 * -2.0 / 30.0
    assert float(terms.sum()) == pytest.approx(expected, rel=2e-8)
    assert float(terms[0]) == float(terms[1])


@pytest.mark.parametrize("distance", [0.5, 2.0, 4.0])
def test_near_charges_are_damped(distance: float) -> None:
    energy = float(head().pre_reduce(features(pair(distance), charges(0.5, -2.0))).sum())
    damping = 1 - math.e * math.exp(-1 / (1 - (distance / DAMPED) ** 2))
    assert energy == pytest.approx(-COULOMB_CONSTANT / distance * damping, rel=2e-8)


def test_damping_rises_from_nothing_to_one_without_a_step() -> None:
    distance = torch.linspace(0, 8, 401, dtype=torch.float64)
    damping = short_range_damping(distance)
    assert float(damping[0]) == 0.0
    assert bool((damping.diff() >= 0).all())
    assert float(damping.diff().max()) < 0.01
    assert bool((damping[distance >= DAMPED] == 1).all())


@pytest.mark.parametrize("coulomb_cutoff", [None, 5.0])
def test_coincident_charges_have_no_energy_and_a_finite_gradient(coulomb_cutoff: float | None) -> None:
    pos = pair(0.0).requires_grad_()
    energy = head(coulomb_cutoff=coulomb_cutoff).pre_reduce(features(pos, charges(1.0, 1.0))).sum()
    (gradient,) = torch.autograd.grad(energy, pos)
    assert float(energy.detach()) == pytest.approx(0, abs=1e-4)
    assert bool(gradient.isfinite().all())


def test_weights_average_over_the_sets_of_charges() -> None:
    given = torch.tensor([[1.0, 0.5], [2.0, -1.0]], dtype=torch.float64).unsqueeze(-1)
    energy = head(q_weights=[3.0, [1.0]]).pre_reduce(features(pair(20.0), given)).sum()
    product = (3.0 * 1.0 * 2.0 + 1.0 * 0.5 * -1.0) / 4.0
    assert float(energy) == pytest.approx(COULOMB_CONSTANT * product / 20.0, rel=2e-8)


def test_all_pairs_of_a_system_count_and_none_between_systems() -> None:
    pos, q = 6 * torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double(), torch.rand(5).double()
    batch = torch.tensor([1, 0, 1, 0, 1])
    given = features(pos, q[:, None, None].expand(5, 2, 1), batch=batch, num_systems=2)
    energy = head().pre_reduce(given).sum()
    expected = 0.0
    for i, j in ((0, 2), (0, 4), (2, 4), (1, 3)):
        distance = (pos[i] - pos[j]).norm()
        expected += float(COULOMB_CONSTANT * q[i] * q[j] / distance * short_range_damping(distance))
    assert float(energy) == pytest.approx(expected, rel=2e-8)


def test_reaction_field_ends_at_the_cutoff_and_is_coulombs_law_in_a_large_sphere() -> None:
    assert float(reaction_field(torch.tensor(9.0, dtype=torch.float64), 9.0)) == pytest.approx(0, abs=1e-15)
    assert float(reaction_field(torch.tensor(2.0, dtype=torch.float64), 1e6)) == pytest.approx(0.5, abs=1e-5)


def test_images_count_in_a_cell_thinner_than_the_cutoff() -> None:
    """Two ions in a cell and eight copies in the doubled cell have the same energy per ion."""
    box = 3.0 * torch.eye(3, dtype=torch.float64)
    shifts = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * 3) @ box
    many = (pair(1.3) + shifts[:, None]).flatten(0, 1)
    periodic, ions = head(coulomb_cutoff=4.0), charges(1.0, -1.0)
    small = periodic.pre_reduce(features(pair(1.3), ions, box=box.unsqueeze(0)))
    large = periodic.pre_reduce(features(many, ions.repeat(8, 1, 1), box=2 * box.unsqueeze(0)))
    torch.testing.assert_close(large, small.repeat(8, 1))


@pytest.mark.parametrize("setting", [{}, {"coulomb_cutoff": 6.0}, {"coulomb_cutoff": 6.0, "box": BOX}], ids=str)
def test_forces_are_finite_differences(setting: dict[str, Any]) -> None:
    box = setting.get("box")
    model = potential(coulomb_cutoff=setting.get("coulomb_cutoff"))
    _, forces = model(Z, POS, BATCH, box=box, q=Q)
    for atom, axis in ((0, 0), (4, 1), (7, 2)):
        shift = torch.zeros_like(POS)
        shift[atom, axis] = 1e-4
        plus, minus = (model(Z, POS + sign * shift, BATCH, box=box, q=Q)[0].sum() for sign in (1, -1))
        torch.testing.assert_close(forces[atom, axis], -(plus - minus) / 2e-4, rtol=1e-5, atol=1e-6)


def test_stress_is_the_finite_difference_of_strain() -> None:
    model = potential(coulomb_cutoff=6.0)
    stress = model.compute(Z, POS, BATCH, box=BOX, q=Q, stress=True).stress
    assert stress is not None
    strain = torch.zeros(3, 3, dtype=torch.float64)
    strain[0, 1] = strain[1, 0] = 0.5e-4
    plus, minus = (torch.eye(3, dtype=torch.float64) + sign * strain for sign in (1, -1))
    energies = [model(Z, POS @ grow, BATCH, box=BOX @ grow, q=Q)[0] for grow in (plus, minus)]
    expected = (energies[0] - energies[1]).squeeze(1) / 2e-4 / torch.linalg.det(BOX)
    torch.testing.assert_close(stress[:, 0, 1], expected, rtol=1e-5, atol=1e-8)


def test_moving_atoms_across_the_boundary_changes_nothing() -> None:
    model = potential(coulomb_cutoff=6.0)
    moved = POS + torch.tensor([[1.0, 0, 0], [0, -2, 1], [0, 0, 0], [0, 1, 0]] * 2, dtype=torch.float64) @ BOX
    for got, expected in zip(model(Z, moved, BATCH, box=BOX, q=Q), model(Z, POS, BATCH, box=BOX, q=Q), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_every_weight_takes_part_in_training_on_forces() -> None:
    model = potential(output_mlp_num_layers=1).train()
    assert len(model.output_model.output_network.layers) == 5
    energy, forces = model(Z, POS, BATCH, q=Q)
    (energy.square().sum() + forces.square().sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_atoms_share_the_energy() -> None:
    result = potential().compute(Z, POS, BATCH, q=Q, energies=True)
    assert result.energies is not None
    total = torch.zeros(2, 1, dtype=torch.float64).index_add(0, BATCH, result.energies)
    torch.testing.assert_close(total, result.energy)


def test_a_periodic_system_needs_a_cutoff() -> None:
    with pytest.raises(ValueError, match="train ScalarPlusWeightedCoulomb with coulomb_cutoff"):
        potential()(Z, POS, BATCH, box=BOX, q=Q)


def test_a_cell_that_is_open_on_all_sides_is_no_periodic_system() -> None:
    open_cell = potential()(Z, POS, BATCH, box=BOX, pbc=torch.zeros(3, dtype=torch.bool), q=Q)
    torch.testing.assert_close(open_cell, potential()(Z, POS, BATCH, q=Q))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q_weights": [1.0]}, r"q_weights: got 1 entries, expected 3: one for the embedding .* 2 layers"),
        ({"q_weights": [1.0, [1.0], 1.0]}, r"q_weights: got \[1\.0\], expected a number or 2 numbers, as q_dim is 2"),
        ({"q_weights": [1.0, -1.0, 0.0]}, "which add up to 0"),
        ({"q_dim": 0}, "q_dim must be at least 1; got 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_model("tensornet2", output_model="ScalarPlusWeightedCoulomb", **{"q_dim": 2} | changes)


def test_a_model_without_charges_is_refused_when_it_is_built() -> None:
    with pytest.raises(ValueError, match="reads charges, TensorNet predicts none: use tensornet2 with q_dim >= 1"):
        small_model("tensornet", output_model="ScalarPlusWeightedCoulomb")


def test_a_model_with_other_charges_is_told() -> None:
    with pytest.raises(ValueError, match="predicts 3 charges of each atom, the head has weights for 2"):
        head().pre_reduce(features(pair(1.0), charges(1.0, 1.0, sets=3)))


@pytest.mark.parametrize("extra", [{}, {"representation_model.repulsion.z_pow": torch.zeros(3)}])
def test_a_checkpoint_with_a_term_that_the_model_lacks_is_refused(tmp_path: Any, extra: dict[str, Tensor]) -> None:
    options = OPTIONS | {
        "model": "tensornet2",
        "output_model": "ScalarPlusWeightedCoulomb",
        "q_dim": 2,
        "coulomb_cutoff": 6.0,
    }
    model = small_model(**options)
    weights = {f"model.{name}": value for name, value in (model.state_dict() | extra).items()}
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": weights, "hyper_parameters": options | {"format_version": 1}}, path)
    if extra:
        with pytest.raises(ValueError, match=r"trained with a repulsion, .*: use repulsion=True"):
            load_model(path)
    else:
        torch.testing.assert_close(load_model(path)(Z, POS, BATCH, q=Q)[0], model(Z, POS, BATCH, q=Q)[0])
