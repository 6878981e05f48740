"""The Lightning module on one batch."""

import pytest
import torch

from torchmdnet.datasets import ExtXYZ
from torchmdnet.training.module import LNNP
from torchmdnet.training.run import train


@pytest.fixture
def batch(options):
    return ExtXYZ(options["dataset_root"]).get_batch([0, 3, 5])


@pytest.fixture
def make(options):
    def make(**given):
        torch.manual_seed(0)
        return LNNP(options | {"prior_model": None, "precision": 64} | given)

    return make


def labels(module, batch):
    energy, forces = module.model(batch.z, batch.pos, batch.batch)
    return energy - batch.y, forces - batch.neg_dy


def test_the_module_itself_is_called_as_its_model_is(make, batch):
    module = make().eval()
    arguments = (batch.z, batch.pos, batch.batch, 9 * torch.eye(3, dtype=torch.float64))
    for ours, models in zip(module(*arguments), module.model(*arguments), strict=True):
        assert torch.equal(ours, models)


def test_loss_is_the_weighted_mean_of_squares(make, batch):
    module = make(y_weight=0.3, neg_dy_weight=0.7)
    energy, forces = labels(module, batch)
    expected = 0.3 * energy.square().mean() + 0.7 * forces.square().mean()
    torch.testing.assert_close(module.training_step(batch, 0), expected)


def test_loss_has_the_arguments_of_the_options(make, batch):
    module = make(train_loss="huber_loss", train_loss_arg={"delta": 0.1}, y_weight=0)
    _, forces = labels(module, batch)
    expected = torch.nn.functional.huber_loss(forces, torch.zeros_like(forces), delta=0.1)
    torch.testing.assert_close(module.training_step(batch, 0), expected)


def test_gradient_of_the_loss_reaches_all_weights(make, batch):
    module = make()
    module.training_step(batch, 0).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in module.model.parameters())


def test_validation_has_the_training_loss_and_the_absolute_error(make, batch):
    module = make()
    module.eval()
    with torch.no_grad():
        module.validation_step(batch, 0)
    energy, forces = labels(module, batch)
    found = module.means.collect()
    assert found["val_y_l1_loss"] == pytest.approx(energy.abs().mean().item())
    assert found["val_neg_dy_mse_loss"] == pytest.approx(forces.square().mean().item())


def test_the_second_validation_loader_is_the_test_set(make, batch):
    module = make()
    module.eval()
    with torch.no_grad():
        module.validation_step(batch, 0, dataloader_idx=1)
    assert set(module.means.collect()) == {"test_y_l1_loss", "test_neg_dy_l1_loss", "test_total_l1_loss"}


@pytest.mark.parametrize(("option", "kind"), [("y_weight", "y"), ("neg_dy_weight", "neg_dy")])
def test_what_has_no_weight_is_not_logged(make, batch, option, kind):
    module = make(**{option: 0.0})
    module.training_step(batch, 0)
    assert f"train_{kind}_mse_loss" not in module.means.collect()


def test_a_missing_label_is_no_term(make, batch):
    del batch.neg_dy
    module = make()
    energy, _ = module.model(batch.z, batch.pos, batch.batch)
    torch.testing.assert_close(module.training_step(batch, 0), (energy - batch.y).square().mean())


def test_no_label_at_all_is_told(make, batch):
    del batch.neg_dy, batch.y
    with pytest.raises(ValueError, match="the data have no label to train on"):
        make().training_step(batch, 0)


def test_stress_has_a_term_with_its_weight(make, batch):
    batch.box = 8.0 * torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    batch.stress = torch.zeros(3, 3, 3, dtype=torch.float64)
    module = make(stress_weight=100.0, neg_dy_weight=0.0, y_weight=0.0)
    stress = module.model.compute(batch.z, batch.pos, batch.batch, box=batch.box, stress=True).stress
    total = module.training_step(batch, 0)
    torch.testing.assert_close(total, 100 * stress.square().mean())
    total.backward()


@pytest.mark.parametrize(("option", "field"), [("charge", "q"), ("spin", "s")])
def test_charge_and_spin_reach_the_model_only_when_asked_for(make, batch, option, field, monkeypatch):
    batch[field] = torch.ones(3, dtype=torch.float64)
    for asked in (True, False):
        module, seen = make(**{option: asked}), {}
        compute = module.model.compute
        monkeypatch.setattr(
            module.model,
            "compute",
            lambda *a, **k: seen.update(k) or compute(*a, **k | {"q": None, "s": None}),  # noqa: B023
        )
        module.training_step(batch, 0)
        assert (seen[field] is not None) is asked
        assert field not in seen["extra_args"]


def test_further_fields_reach_the_priors(make, batch, monkeypatch):
    batch.partial_charges = torch.zeros(len(batch.z), dtype=torch.float64)
    module, seen = make(), {}
    compute = module.model.compute
    monkeypatch.setattr(module.model, "compute", lambda *a, **k: seen.update(k) or compute(*a, **k))
    module.training_step(batch, 0)
    assert set(seen["extra_args"]) == {"partial_charges"}


def test_absent_options_take_their_defaults(options):
    module = LNNP({key: options[key] for key in ("model", "embedding_dimension", "num_rbf", "num_layers", "max_z")})
    assert module.options["lr"] == 1e-4


def test_is_made_again_from_a_checkpoint_by_lightning(config):
    result = train(config(ema_decay=0.9))
    again = LNNP.load_from_checkpoint(result.best, weights_only=True)
    for name, weight in result.module.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
