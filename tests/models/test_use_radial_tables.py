"""Models that read their radial networks from tables: the same numbers to the tolerance, and all that models can do."""

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from padded_graphs import pad_neighbor_lists
from small_models import rotation, small_model, two_molecules
from test_model_vectors import CASES, evaluate, load, read
from torch import Tensor

from torchmdnet.models import MODELS, use_radial_tables
from torchmdnet.neighbors import use_skin, use_static_shapes
from torchmdnet.nn.tabulated_layer import TabulatedLayer, TabulatedRadial
from torchmdnet.potential import Ensemble, TorchMD_Net

Z, POS, BATCH = two_molecules()
BOX = 5.0 * torch.tensor([[1.0, 0.1, 0.05], [-0.2, 0.9, 0.1], [0.1, 0.2, 1.1]], dtype=torch.float64)
TABULATED = sorted(name for name in MODELS if isinstance(small_model(name).representation_model, TabulatedRadial))
VECTORS = [name for name in CASES if name != "gn_aggr_max"]
NO_DATA = pytest.param("", marks=pytest.mark.skip("no test data"))


@pytest.fixture(params=TABULATED)
def name(request: pytest.FixtureRequest) -> str:
    result: str = request.param
    return result


def tabulated(name: str, *, tolerance: float = 1e-6, **options: Any) -> TorchMD_Net:
    model = small_model(name, **options)
    assert use_radial_tables(model, tolerance=tolerance) >= 1
    return model


def relative(value: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest entry."""
    if torch.equal(value, expected):  # both may be zero
        return 0.0
    return float((value.detach() - expected.detach()).abs().max() / expected.detach().abs().max())


def num_networks(args: dict[str, Any]) -> int:
    """Radial networks that can be tables: of the layers, and of the embedding where it reads distances."""
    return int(args["num_layers"]) + bool(args["model"].startswith("tensornet") or args["neighbor_embedding"])


def uses_tables(model: TorchMD_Net) -> bool:
    """Whether tables are there, and the model's numbers are those of tables: not the exact ones, bit for bit."""
    exact = copy.deepcopy(model)
    use_radial_tables(exact, enabled=False)
    has_tables = {layer.table is not None for layer in model.modules() if isinstance(layer, TabulatedLayer)}
    differs = not torch.equal(model(Z, POS, BATCH)[1], exact(Z, POS, BATCH)[1])
    assert has_tables == {differs}
    return differs


def test_every_model_has_tables() -> None:
    assert sorted(MODELS) == TABULATED


class TestAgreement:
    @pytest.mark.parametrize("case", VECTORS or [NO_DATA])
    @pytest.mark.parametrize(("precision", "tolerance"), [(64, 2e-6), (32, 1e-5)])
    def test_recorded_energies_and_forces_stay(
        self, case: str, precision: int, tolerance: float, test_data: Path
    ) -> None:
        args, inputs = read(case, test_data)
        if precision == 32:
            inputs = {key: v.astype("float32") if v.dtype.kind == "f" else v for key, v in inputs.items()}
        model = load({**args, "precision": precision}, inputs)
        exact = evaluate(model, inputs)
        assert use_radial_tables(model) == num_networks(args)
        for value, expected in zip(evaluate(model, inputs), exact, strict=True):
            assert not value.numel() or relative(value, expected) < tolerance

    @pytest.mark.parametrize("rbf_type", ["expnorm", "gauss"])
    @pytest.mark.parametrize("cutoff_lower", [0.0, 0.6])
    @pytest.mark.parametrize("box", [None, BOX], ids=["open", "periodic"])
    def test_energies_forces_and_stress_stay(
        self, name: str, rbf_type: str, cutoff_lower: float, box: Tensor | None
    ) -> None:
        model = small_model(name, rbf_type=rbf_type, cutoff_lower=cutoff_lower)
        exact = model.compute(Z, POS, BATCH, box=box, stress=box is not None)
        use_radial_tables(model)
        got = model.compute(Z, POS, BATCH, box=box, stress=box is not None)
        for value, expected in zip(got[:3], exact[:3], strict=True):
            assert (value is None) is (expected is None)
            assert value is None or relative(value, expected) < 2e-6

    def test_the_tolerance_is_what_decides(self, name: str) -> None:
        _, exact = small_model(name)(Z, POS, BATCH)
        rough, fine = (relative(tabulated(name, tolerance=t)(Z, POS, BATCH)[1], exact) for t in (1e-3, 1e-8))
        assert 10 * fine < rough < 1e-3
        assert fine < 1e-8


def energy_of(model: TorchMD_Net, pos: Tensor, **others: Any) -> Tensor:
    return model.compute(Z, pos, BATCH, forces=False, **others).energy


class TestDerivatives:
    """A rough table shows that derivatives are those of the tabulated energy, not of the exact one."""

    def test_forces_are_finite_differences_of_the_tabulated_energy(self, name: str) -> None:
        model = tabulated(name, tolerance=1e-3)
        _, forces = model(Z, POS, BATCH)
        step = 1e-4
        for atom, axis in ((0, 0), (4, 1), (7, 2)):
            shift = torch.zeros_like(POS)
            shift[atom, axis] = step
            # Four points: the error of two would hide a force that is off by 1e-7.
            near, far = ((energy_of(model, POS + k * shift) - energy_of(model, POS - k * shift)).sum() for k in (1, 2))
            change = (8 * near - far) / (12 * step)
            assert float((forces[atom, axis] + change.detach()).abs() / forces.abs().max()) < 1e-7

    def test_stress_is_the_finite_difference_of_strain(self, name: str) -> None:
        model, box = tabulated(name, tolerance=1e-3), BOX.expand(2, 3, 3)
        stress = model.compute(Z, POS, BATCH, box=box, stress=True).stress
        assert stress is not None
        step = 1e-4
        strain = torch.zeros(3, 3, dtype=torch.float64)
        strain[1, 2] = strain[2, 1] = step / 2
        grown, shrunk = (torch.eye(3, dtype=torch.float64) + sign * strain for sign in (1, -1))
        change = (energy_of(model, POS @ grown, box=box @ grown) - energy_of(model, POS @ shrunk, box=box @ shrunk)) / (
            2 * step
        )
        torch.testing.assert_close(stress[:, 1, 2], change.squeeze(1) / torch.linalg.det(box), rtol=1e-5, atol=1e-9)

    def test_second_derivatives_are_right(self, name: str) -> None:
        model = tabulated(name, tolerance=1e-3, embedding_dimension=4, num_layers=1, num_rbf=3)
        pos = POS[:3].clone().requires_grad_()
        assert torch.autograd.gradgradcheck(lambda r: model.compute(Z[:3], r, forces=False).energy, pos)

    def test_gradients_of_a_loss_on_forces_stay(self, name: str) -> None:
        model, results = tabulated(name, tolerance=1e-8), []
        weights = list(model.output_model.parameters())
        for enabled in (True, False):
            use_radial_tables(model, enabled=enabled, tolerance=1e-8)
            pos = POS.clone().requires_grad_()
            energy = energy_of(model, pos)
            (gradient,) = torch.autograd.grad(energy.sum(), pos, create_graph=True)
            loss = energy.square().sum() + gradient.square().sum()
            results.append(torch.autograd.grad(loss, (pos, *weights)))
        for ours, exact in zip(*results, strict=True):
            assert relative(ours, exact) < 1e-6


class TestSymmetry:
    @pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
    def test_energy_stays_and_forces_turn(self, name: str, sign: int) -> None:
        model, turn = tabulated(name, tolerance=1e-3), sign * rotation()
        energy, forces = model(Z, POS, BATCH)
        turned_energy, turned_forces = model(Z, POS @ turn.t(), BATCH)
        torch.testing.assert_close(turned_energy, energy, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(turned_forces, forces @ turn.t(), rtol=1e-9, atol=1e-11)

    def test_order_of_atoms_does_not_matter(self, name: str) -> None:
        model, order = tabulated(name, tolerance=1e-3), torch.tensor([3, 7, 0, 5, 2, 6, 1, 4])
        energy, forces = model(Z, POS, BATCH)
        got_energy, got_forces = model(Z[order], POS[order], BATCH[order])
        torch.testing.assert_close(got_energy, energy)
        torch.testing.assert_close(got_forces, forces[order])

    def test_a_batch_is_its_systems_one_by_one(self, name: str) -> None:
        model = tabulated(name, tolerance=1e-3)
        energy, forces = model(Z, POS, BATCH)
        singles = [model(Z[k == BATCH], POS[k == BATCH]) for k in range(2)]
        torch.testing.assert_close(energy, torch.cat([single[0] for single in singles]))
        torch.testing.assert_close(forces, torch.cat([single[1] for single in singles]))

    def test_few_atoms_are_no_trouble(self, name: str) -> None:
        model, nothing = tabulated(name), torch.zeros(0, dtype=torch.long)
        energy, forces = model(nothing, torch.zeros(0, 3, dtype=torch.float64), nothing)
        assert (energy.shape, forces.shape) == ((0, 1), (0, 3))
        energy, forces = model(Z[:1], POS[:1])
        assert bool(energy.isfinite().all())
        assert torch.equal(forces, torch.zeros(1, 3, dtype=torch.float64))


class TestGraphs:
    def test_padding_changes_nothing(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tabulated(name)
        plain = model.compute(Z, POS, BATCH, box=BOX, stress=True)
        assert pad_neighbor_lists(model, monkeypatch) >= 1
        padded = model.compute(Z, POS, BATCH, box=BOX, stress=True)
        torch.testing.assert_close(padded[:3], plain[:3], rtol=1e-11, atol=1e-12)

    @pytest.mark.parametrize(
        "prepare", [use_static_shapes, lambda model: use_skin(model, skin=0.5)], ids=["static shapes", "skin"]
    )
    def test_other_neighbor_lists_change_nothing(self, name: str, prepare: Callable[[TorchMD_Net], None]) -> None:
        model = tabulated(name)
        plain = model(Z, POS, BATCH, BOX)
        prepare(model)
        model(Z, POS + 0.01, BATCH, BOX)
        torch.testing.assert_close(model(Z, POS, BATCH, BOX), plain, rtol=1e-11, atol=1e-12)

    @pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
    def test_potential_is_compiled_whole(self, name: str) -> None:
        torch.compiler.reset()
        model = tabulated(name)
        energy, forces = model(Z, POS, BATCH, num_systems=2)
        use_static_shapes(model)
        model.derivative = False
        model(Z, POS, BATCH, num_systems=2)
        pos = POS.clone().requires_grad_()
        got, _ = torch.compile(model, fullgraph=True, backend="aot_eager")(Z, pos, BATCH, num_systems=2)
        torch.testing.assert_close(got, energy)
        torch.testing.assert_close(-torch.autograd.grad(got.sum(), pos)[0], forces)


class TestSwitch:
    def test_the_exact_numbers_are_back_to_the_last_bit(self, name: str) -> None:
        model = small_model(name)
        exact = model(Z, POS, BATCH)
        use_radial_tables(model)
        assert uses_tables(model)
        assert use_radial_tables(model, enabled=False) == 0
        assert not uses_tables(model)
        assert all(torch.equal(a, b) for a, b in zip(model(Z, POS, BATCH), exact, strict=True))

    def test_tables_are_no_part_of_the_state(self, name: str) -> None:
        model = small_model(name)
        keys = list(model.state_dict())
        use_radial_tables(model)
        assert list(model.state_dict()) == keys

    def test_training_drops_tables(self, name: str) -> None:
        model = tabulated(name)
        model.train()
        assert not uses_tables(model.eval())

    def test_a_model_in_training_mode_is_refused(self, name: str) -> None:
        model = small_model(name).train()
        with pytest.raises(ValueError, match=r"in training mode.*: call model.eval\(\) before use_radial_tables"):
            use_radial_tables(model)
        assert use_radial_tables(model, enabled=False) == 0

    def test_evaluation_mode_keeps_tables(self, name: str) -> None:
        assert uses_tables(tabulated(name).eval())

    def test_new_weights_drop_tables(self, name: str) -> None:
        model, other = tabulated(name), small_model(name)
        for parameter in other.parameters():
            parameter.data = 0.9 * parameter.data
        model.load_state_dict(other.state_dict())
        assert not uses_tables(model)
        assert all(torch.equal(a, b) for a, b in zip(model(Z, POS, BATCH), other(Z, POS, BATCH), strict=True))

    def test_tables_can_be_built_again(self, name: str) -> None:
        model = tabulated(name, tolerance=1e-3)
        _, rough = model(Z, POS, BATCH)
        use_radial_tables(model, tolerance=1e-7)
        _, exact = small_model(name)(Z, POS, BATCH)
        assert relative(model(Z, POS, BATCH)[1], exact) < 0.1 * relative(rough, exact)

    def test_a_copy_has_tables_of_its_own(self, name: str) -> None:
        model = tabulated(name)
        duplicate = copy.deepcopy(model)
        expected = model(Z, POS, BATCH)
        use_radial_tables(model, enabled=False)
        assert uses_tables(duplicate)
        assert all(torch.equal(a, b) for a, b in zip(duplicate(Z, POS, BATCH), expected, strict=True))

    def test_a_pickled_model_keeps_its_tables(self, name: str) -> None:
        model, file = tabulated(name), io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        duplicate = torch.load(file, weights_only=False)
        torch.testing.assert_close(duplicate(Z, POS, BATCH), model(Z, POS, BATCH), rtol=0, atol=0)

    def test_tables_follow_the_type_of_the_model(self, name: str) -> None:
        model = tabulated(name, precision=32).to(torch.float64)
        assert uses_tables(model)
        exact = small_model(name, precision=32).to(torch.float64)
        for value, expected in zip(model(Z, POS, BATCH), exact(Z, POS, BATCH), strict=True):
            assert value.dtype == torch.float64
            assert relative(value, expected) < 1e-5

    def test_runs_under_bfloat16_autocast(self, name: str) -> None:
        model = tabulated(name, precision=32)
        expected, _ = model(Z, POS.float(), BATCH)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            energy, forces = model(Z, POS.float(), BATCH)
        torch.testing.assert_close(energy.float(), expected, rtol=0.1, atol=0.1)
        assert bool(forces.isfinite().all())

    def test_an_ensemble_has_tables_in_every_member(self, name: str) -> None:
        members = [small_model(name) for _ in range(2)]
        expected = Ensemble(members)(Z, POS, BATCH)
        assert use_radial_tables(Ensemble(members)) == 2 * use_radial_tables(small_model(name))
        for value, exact in zip(Ensemble(members)(Z, POS, BATCH), expected, strict=True):
            torch.testing.assert_close(value, exact, rtol=2e-6, atol=2e-6)

    def test_a_model_that_takes_the_largest_message_stays_as_it_is(self) -> None:
        model = small_model("graph-network", aggr="max")
        exact = model(Z, POS, BATCH)
        assert use_radial_tables(model) == 0
        assert not any(layer.table is not None for layer in model.modules() if isinstance(layer, TabulatedLayer))
        assert all(torch.equal(a, b) for a, b in zip(model(Z, POS, BATCH), exact, strict=True))

    def test_an_impossible_tolerance_leaves_the_model_exact(self, name: str) -> None:
        model = small_model(name)
        with pytest.raises(ValueError, match="give a larger tolerance, or do without tables"):
            use_radial_tables(model, tolerance=1e-15)
        assert not uses_tables(model)
