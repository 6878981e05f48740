"""The potential: parts, derivatives and what it refuses."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_models import small_model, two_molecules
from torch import Tensor

from torchmdnet.models.tensornet import TensorNet
from torchmdnet.neighbors import use_static_shapes
from torchmdnet.outputs import DipoleMoment, EquivariantScalar, Scalar
from torchmdnet.potential import Ensemble, TorchMD_Net
from torchmdnet.priors import Atomref, BasePrior

Z, POS, BATCH = two_molecules()
BOX = 9 * torch.eye(3, dtype=torch.float64)


class Shift(BasePrior):
    """Adds one to each system, as a term of no atom."""

    def post_reduce(self, y: Tensor, *args: object) -> Tensor:
        return y + 1


def with_parts(prior: BasePrior | None = None, **others: float) -> TorchMD_Net:
    parts = small_model("tensornet")
    return TorchMD_Net(
        parts.representation_model, parts.output_model, prior, dtype=torch.float64, derivative=True, **others
    ).eval()


class TestCall:
    def test_leaves_the_positions_of_the_caller_alone(self) -> None:
        pos = POS.clone()
        small_model("tensornet")(Z, pos, BATCH)
        assert not pos.requires_grad
        assert torch.equal(pos, POS)

    def test_without_derivative_forces_are_empty(self) -> None:
        _, forces = small_model("tensornet", derivative=False)(Z, POS, BATCH)
        assert forces.shape == (0,)

    @pytest.mark.parametrize("is_training", [True, False])
    def test_keeps_a_graph_in_training_alone(self, is_training: bool) -> None:
        energy, forces = small_model("tensornet").train(is_training)(Z, POS, BATCH)
        assert energy.requires_grad is is_training
        assert forces.requires_grad is is_training

    def test_gives_forces_under_no_grad_and_inference_mode(self) -> None:
        model = small_model("tensornet")
        _, expected = model(Z, POS, BATCH)
        with torch.no_grad():
            torch.testing.assert_close(model(Z, POS, BATCH)[1], expected)
        with torch.inference_mode():
            torch.testing.assert_close(model(Z.clone(), POS.clone(), BATCH.clone())[1], expected)

    def test_takes_positions_of_another_precision(self) -> None:
        energy, forces = small_model("tensornet", precision=32)(Z, POS, BATCH)
        assert energy.dtype == forces.dtype == torch.float32

    def test_mean_and_deviation_scale_the_terms(self) -> None:
        plain, _ = with_parts()(Z, POS, BATCH)
        scaled, _ = with_parts(mean=3.0, std=2.0)(Z, POS, BATCH)
        torch.testing.assert_close(scaled, 2 * plain + 3)

    def test_mean_of_one_element_loads(self) -> None:
        model = with_parts()
        state = {**model.state_dict(), "mean": torch.tensor([1.5]), "std": torch.tensor([2.0])}
        model.load_state_dict(state)
        assert (model.mean.shape, float(model.mean)) == ((), 1.5)

    def test_priors_see_the_scaled_terms(self) -> None:
        prior = Atomref(max_z=10)
        prior.atomref.weight.data.fill_(0.5)
        energy, _ = with_parts(prior, std=2.0)(Z, POS, BATCH)
        without, _ = with_parts(std=2.0)(Z, POS, BATCH)
        torch.testing.assert_close(energy, without + 0.5 * torch.tensor([[5.0], [3.0]], dtype=torch.float64))


class TestCompute:
    def test_gives_what_is_asked_for(self) -> None:
        model = small_model("tensornet", derivative=False)
        asked = model.compute(Z, POS, BATCH, box=BOX, forces=True, stress=True, energies=True)
        assert [tuple(field.shape) for field in asked if field is not None] == [(2, 1), (8, 3), (2, 3, 3), (8, 1)]
        assert model.compute(Z, POS, BATCH, forces=False)[1:] == (None, None, None)

    def test_is_the_call_with_names(self) -> None:
        model = small_model("tensornet")
        energy, forces = model(Z, POS, BATCH, BOX)
        prediction = model.compute(Z, POS, BATCH, box=BOX, stress=True)
        torch.testing.assert_close((prediction.energy, prediction.forces), (energy, forces))

    def test_energies_of_atoms_add_up(self) -> None:
        model = with_parts(Atomref(max_z=10), mean=3.0, std=2.0)
        prediction = model.compute(Z, POS, BATCH, energies=True)
        assert prediction.energies is not None
        total = torch.zeros(2, 1, dtype=torch.float64).index_add_(0, BATCH, prediction.energies)
        torch.testing.assert_close(total, prediction.energy)

    def test_a_prior_that_cannot_be_shared_out_is_named(self) -> None:
        with pytest.raises(ValueError, match="the prior Shift does not say how atoms share its energy"):
            with_parts(Shift()).compute(Z, POS, BATCH, energies=True)

    def test_energies_of_atoms_need_a_sum(self) -> None:
        with pytest.raises(ValueError, match="not for Scalar with reduce_op 'mean'"):
            small_model("tensornet", reduce_op="mean").compute(Z, POS, BATCH, energies=True)

    def test_stress_is_symmetric_and_trains(self) -> None:
        model = small_model("tensornet").train()
        stress = model.compute(Z, POS, BATCH, box=BOX, stress=True).stress
        assert stress is not None
        torch.testing.assert_close(stress, stress.transpose(1, 2))
        stress.square().sum().backward()
        assert float(model.representation_model.get_parameter("linear.weight").grad.abs().sum()) > 0

    def test_stress_without_a_box_is_refused(self) -> None:
        with pytest.raises(ValueError, match="stress needs a box: pass box="):
            small_model("tensornet").compute(Z, POS, BATCH, stress=True)

    def test_stress_of_a_cell_without_volume_names_the_system(self) -> None:
        boxes = torch.stack([BOX, torch.zeros_like(BOX)])
        with pytest.raises(ValueError, match="the box of system 1 has none"):
            small_model("tensornet").compute(Z, POS, BATCH, box=boxes, stress=True)


class TestParts:
    def test_vector_heads_need_vector_features(self) -> None:
        with pytest.raises(ValueError, match="EquivariantScalar reads vector features, TensorNet has none"):
            TorchMD_Net(TensorNet(8), EquivariantScalar(8))

    def test_forces_of_a_vector_are_refused(self) -> None:
        with pytest.raises(ValueError, match="EquivariantVectorOutput has several values: forces are not defined"):
            small_model("equivariant-transformer", output_model="VectorOutput", derivative=True)

    def test_priors_of_a_dipole_are_left_out_with_a_warning(self) -> None:
        with pytest.warns(UserWarning, match=r"DipoleMoment allows no priors: Atomref are left out"):
            model = TorchMD_Net(TensorNet(8), DipoleMoment(8), Atomref(max_z=10))
        assert model.prior_model is None

    def test_reset_starts_all_parts_anew(self) -> None:
        model = TorchMD_Net(TensorNet(8), Scalar(8))
        before = copy.deepcopy(model.state_dict())
        model.reset_parameters()
        kept = {key for key, value in model.state_dict().items() if torch.equal(value, before[key])}
        changing = {key for key in before if key.endswith("weight") and "norm" not in key}
        assert not kept & changing


class TestIgnoredInputs:
    def test_a_charge_without_effect_is_told_once(self) -> None:
        model = small_model("equivariant-transformer")
        charge = torch.tensor([0.0, 1.0])
        with pytest.warns(UserWarning, match="TorchMD_ET ignores the charges q; models that use them: tensornet"):
            model(Z, POS, BATCH, q=charge)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model(Z, POS, BATCH, q=charge)

    def test_a_spin_is_told_after_a_charge(self) -> None:
        model = small_model("equivariant-transformer")
        with pytest.warns(UserWarning, match="ignores the charges q"):
            model(Z, POS, BATCH, q=torch.ones(2))
        with pytest.warns(UserWarning, match="ignores the spins s"):
            model(Z, POS, BATCH, s=torch.ones(2))

    def test_a_charge_of_zero_is_no_matter(self) -> None:
        small_model("equivariant-transformer")(Z, POS, BATCH, q=torch.zeros(2))

    @pytest.mark.parametrize("name", ["tensornet", "equivariant-transformer"])
    def test_a_spin_without_effect_is_told(self, name: str) -> None:
        with pytest.warns(UserWarning, match="ignores the spins s; models that use them: none"):
            small_model(name)(Z, POS, BATCH, s=torch.tensor([1.0, 0.0]))


# PyTorch warns of how its own compiler traces an autograd.Function.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
class TestCompiled:
    """A caller that passes ``batch`` and not ``num_systems``, as those of molecular dynamics do."""

    def compiled(self, model: TorchMD_Net) -> Callable[..., Any]:
        torch.compiler.reset()
        return torch.compile(model, backend="aot_eager", dynamic=False, fullgraph=True)

    @pytest.mark.parametrize("static_shapes", [True, False])
    def test_recalls_the_number_of_systems_of_the_call_before(self, static_shapes: bool) -> None:
        model = small_model("equivariant-transformer", derivative=False)
        use_static_shapes(model, enabled=static_shapes)
        expected, _ = model(Z, POS, BATCH)
        pos = POS.clone().requires_grad_()
        got, _ = self.compiled(model)(Z, pos, BATCH)
        torch.testing.assert_close(got, expected)
        _, forces = small_model("equivariant-transformer")(Z, POS, BATCH)
        torch.testing.assert_close(-torch.autograd.grad(got.sum(), pos)[0], forces)

    def test_refuses_more_systems_than_it_recalls(self) -> None:
        model = small_model("equivariant-transformer", derivative=False)
        model(Z, POS, BATCH)
        with pytest.raises(RuntimeError, match="batch holds more systems than the call before compilation"):
            self.compiled(model)(Z, POS, torch.arange(8))

    def test_without_a_call_before_asks_for_the_number(self) -> None:
        model = small_model("equivariant-transformer", derivative=False)
        with pytest.raises(Exception, match="cannot be read from batch in compiled code: pass num_systems"):
            self.compiled(model)(Z, POS, BATCH)


class TestEnsemble:
    def members(self) -> list[TorchMD_Net]:
        models = [small_model("tensornet") for _ in range(3)]
        for model in models[1:]:
            model.reset_parameters()
        return models

    def test_gives_means_and_unbiased_deviations(self) -> None:
        models = self.members()
        y, forces = (torch.stack(values) for values in zip(*(m(Z, POS, BATCH) for m in models), strict=True))
        got = Ensemble(models, return_std=True)(Z, POS, BATCH)
        torch.testing.assert_close(got, (y.mean(0), forces.mean(0), y.std(0), forces.std(0)))
        torch.testing.assert_close(Ensemble(models)(Z, POS, BATCH), got[:2])

    def test_computes_the_mean_of_predictions(self) -> None:
        models = self.members()
        prediction = Ensemble(models).compute(Z, POS, BATCH, box=BOX, stress=True)
        single = [model.compute(Z, POS, BATCH, box=BOX, stress=True).stress for model in models]
        torch.testing.assert_close(prediction.stress, torch.stack([s for s in single if s is not None]).mean(0))
        assert prediction.energies is None

    def test_weights_are_numbered_by_member(self) -> None:
        assert {key.split(".")[0] for key in Ensemble(self.members()).state_dict()} == {"0", "1", "2"}

    def test_refuses_what_is_no_potential(self) -> None:
        with pytest.raises(TypeError, match="made of TorchMD_Net models; got Linear"):
            Ensemble([torch.nn.Linear(1, 1)])
