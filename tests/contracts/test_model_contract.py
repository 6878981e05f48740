"""What every representation model must do, through the potential."""

from typing import Any

import pytest
import torch
from small_models import rotation, small_model, two_molecules
from torch import Tensor

from torchmdnet.models import MODELS
from torchmdnet.potential import TorchMD_Net

Z, POS, BATCH = two_molecules()


@pytest.fixture(params=sorted(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    result: str = request.param
    return result


def triclinic(edge: float) -> Tensor:
    """A cell that is neither rectangular nor lower triangular."""
    return edge * torch.tensor([[1.0, 0.1, 0.05], [-0.2, 0.9, 0.1], [0.1, 0.2, 1.1]], dtype=torch.float64)


class TestSymmetry:
    @pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
    def test_energy_stays_and_forces_turn(self, name: str, sign: int) -> None:
        model, turn = small_model(name), sign * rotation()
        energy, forces = model(Z, POS, BATCH)
        turned_energy, turned_forces = model(Z, POS @ turn.t(), BATCH)
        torch.testing.assert_close(turned_energy, energy, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(turned_forces, forces @ turn.t(), rtol=1e-10, atol=1e-11)

    def test_translation_changes_nothing(self, name: str) -> None:
        model = small_model(name)
        torch.testing.assert_close(model(Z, POS + 7.5, BATCH), model(Z, POS, BATCH), rtol=1e-10, atol=1e-11)

    def test_order_of_atoms_does_not_matter(self, name: str) -> None:
        model, order = small_model(name), torch.tensor([3, 7, 0, 5, 2, 6, 1, 4])
        energy, forces = model(Z, POS, BATCH)
        got_energy, got_forces = model(Z[order], POS[order], BATCH[order])
        torch.testing.assert_close(got_energy, energy)
        torch.testing.assert_close(got_forces, forces[order])

    def test_moving_atoms_by_cell_vectors_changes_nothing(self, name: str) -> None:
        model, box = small_model(name), triclinic(5.0)
        moved = POS + torch.randint(-2, 3, (8, 3), generator=torch.Generator().manual_seed(0)).double() @ box
        torch.testing.assert_close(model(Z, moved, BATCH, box), model(Z, POS, BATCH, box), rtol=1e-9, atol=1e-10)


class TestBatching:
    def test_a_batch_is_its_systems_one_by_one(self, name: str) -> None:
        model = small_model(name)
        energy, forces = model(Z, POS, BATCH)
        singles = [model(Z[k == BATCH], POS[k == BATCH]) for k in range(2)]
        torch.testing.assert_close(energy, torch.cat([single[0] for single in singles]))
        torch.testing.assert_close(forces, torch.cat([single[1] for single in singles]))

    def test_each_system_has_its_own_cell(self, name: str) -> None:
        model, boxes = small_model(name), torch.stack([triclinic(5.0), triclinic(6.0)])
        energy, _ = model(Z, POS, BATCH, boxes)
        for k in range(2):
            single, _ = model(Z[k == BATCH], POS[k == BATCH], box=boxes[k])
            torch.testing.assert_close(energy[k : k + 1], single)

    def test_a_gap_is_a_system_without_atoms(self, name: str) -> None:
        model = small_model(name)
        energy, forces = model(Z, POS, 2 * BATCH, num_systems=4)
        expected, expected_forces = model(Z, POS, BATCH)
        torch.testing.assert_close(energy[[0, 2]], expected)
        torch.testing.assert_close(forces, expected_forces)
        assert torch.equal(energy[[1, 3]], torch.zeros(2, 1, dtype=torch.float64))

    def test_a_single_atom_has_an_energy_and_no_force(self, name: str) -> None:
        energy, forces = small_model(name)(torch.tensor([6]), torch.zeros(1, 3, dtype=torch.float64))
        assert bool(energy.isfinite().all())
        assert torch.equal(forces, torch.zeros(1, 3, dtype=torch.float64))

    def test_no_atoms_are_no_energies(self, name: str) -> None:
        nothing = torch.zeros(0, dtype=torch.long)
        energy, forces = small_model(name)(nothing, torch.zeros(0, 3, dtype=torch.float64), nothing)
        assert (energy.shape, forces.shape) == ((0, 1), (0, 3))

    def test_coincident_atoms_have_finite_energies_and_forces(self, name: str) -> None:
        energy, forces = small_model(name)(torch.tensor([6, 1]), torch.zeros(2, 3, dtype=torch.float64))
        assert bool(energy.isfinite().all())
        assert bool(forces.isfinite().all())

    def test_a_thin_cell_is_its_supercell(self, name: str) -> None:
        model, box = small_model(name), triclinic(2.1)
        z, pos = Z[5:], 0.4 * POS[5:]
        energy, forces = model(z, pos, box=box)
        shifts = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * 3) @ box
        many = (pos + shifts[:, None]).flatten(0, 1)
        super_energy, super_forces = model(z.repeat(8), many, box=2 * box)
        # TensorNet2 divides by a sum over atoms plus 1e-6 when it shares out the total charge.
        tolerance = 1e-5 if name == "tensornet2" else 1e-10
        torch.testing.assert_close(super_energy, 8 * energy, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(super_forces, forces.repeat(8, 1), rtol=10 * tolerance, atol=tolerance)


def energy_of(model: TorchMD_Net, pos: Tensor, **others: Any) -> Tensor:
    return model.compute(Z, pos, BATCH, forces=False, **others).energy


class TestDerivatives:
    @pytest.mark.parametrize("cutoff_lower", [0.0, 0.6])
    @pytest.mark.parametrize("rbf_type", ["expnorm", "gauss"])
    def test_forces_are_finite_differences(self, name: str, rbf_type: str, cutoff_lower: float) -> None:
        model = small_model(name, rbf_type=rbf_type, cutoff_lower=cutoff_lower)
        _, forces = model(Z, POS, BATCH)
        step = 1e-4
        for atom, axis in ((0, 0), (4, 1), (7, 2)):
            shift = torch.zeros_like(POS)
            shift[atom, axis] = step
            change = (energy_of(model, POS + shift) - energy_of(model, POS - shift)).sum() / (2 * step)
            torch.testing.assert_close(forces[atom, axis], -change, rtol=1e-5, atol=1e-7)

    def test_stress_is_the_finite_difference_of_strain(self, name: str) -> None:
        model, box = small_model(name), torch.stack([triclinic(4.0), triclinic(3.0)])
        stress = model.compute(Z, POS, BATCH, box=box, stress=True).stress
        assert stress is not None
        step = 1e-4
        for a, b in ((0, 0), (1, 2)):
            strain = torch.zeros(3, 3, dtype=torch.float64)
            strain[a, b] += step / 2
            strain[b, a] += step / 2
            plus, minus = (torch.eye(3, dtype=torch.float64) + sign * strain for sign in (1, -1))
            energies = [energy_of(model, POS @ grow, box=box @ grow) for grow in (plus, minus)]
            expected = (energies[0] - energies[1]).squeeze(1) / (2 * step) / torch.linalg.det(box).abs()
            torch.testing.assert_close(stress[:, a, b], expected, rtol=1e-5, atol=1e-8)

    def test_second_derivatives_are_right(self, name: str) -> None:
        model = small_model(name, embedding_dimension=4, num_layers=1, num_rbf=3)
        pos = POS[:3].clone().requires_grad_()
        assert torch.autograd.gradgradcheck(lambda r: model.compute(Z[:3], r, forces=False).energy, pos)

    @pytest.mark.parametrize("activation", ["silu", "tanh"])
    @pytest.mark.parametrize("rbf_type", ["expnorm", "gauss"])
    def test_training_on_forces_has_the_gradients_of_plain_autograd(
        self, name: str, rbf_type: str, activation: str
    ) -> None:
        """Positions that track gradients switch the jets off: the exact path is the reference."""
        model = small_model(name, rbf_type=rbf_type, activation=activation, trainable_rbf=True).train()
        results = []
        for pos in (POS, POS.clone().requires_grad_()):
            model.zero_grad()
            energy, forces = model(Z, pos, BATCH)
            (energy.square().sum() + forces.square().sum()).backward()
            results.append({key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None})
        torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)
        assert set(results[0]) == {key for key, _ in model.named_parameters()}


class TestPrecision:
    def test_single_precision_agrees_with_double(self, name: str) -> None:
        double = small_model(name)
        single = small_model(name, precision=32)
        single.load_state_dict({key: value.float() for key, value in double.state_dict().items()})
        got = single(Z, POS.float(), BATCH)
        assert {value.dtype for value in got} == {torch.float32}
        for value, expected in zip(got, double(Z, POS, BATCH), strict=True):
            torch.testing.assert_close(value.double(), expected, rtol=2e-5, atol=2e-6)

    def test_runs_under_bfloat16_autocast(self, name: str) -> None:
        model = small_model(name, precision=32).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            energy, forces = model(Z, POS.float(), BATCH)
        (energy.float().sum() + forces.float().square().sum()).backward()
        expected, _ = small_model(name, precision=32)(Z, POS.float(), BATCH)
        torch.testing.assert_close(energy.float(), expected, rtol=0.1, atol=0.1)

    def test_box_vectors_of_the_configuration_are_the_default_box(self, name: str) -> None:
        box = triclinic(4.5)
        periodic = small_model(name, box_vecs=box.tolist())
        torch.testing.assert_close(periodic(Z, POS, BATCH), small_model(name)(Z, POS, BATCH, box))

    def test_an_infinite_position_is_named(self, name: str) -> None:
        pos = POS.clone()
        pos[3, 1] = torch.nan
        with pytest.raises(ValueError, match="position of atom 3 is NaN or infinite"):
            small_model(name)(Z, pos, BATCH)
