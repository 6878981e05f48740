"""Loss functions and their mean over a batch that several processes share."""

import pytest
import torch

from torchmdnet.training.loss import LossSmoother, loss_function, mean_share


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_is_the_mean_over_all_components(name):
    prediction, label = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    share = mean_share(loss_function(name), prediction, label, count=label.numel(), num_processes=1)
    expected = getattr(torch.nn.functional, name)(prediction, label)
    torch.testing.assert_close(share, expected)


def test_mean_of_uneven_shares_is_the_mean_over_the_global_batch():
    loss = loss_function("mse_loss")
    prediction = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    label = torch.zeros_like(prediction)
    shares = [
        mean_share(loss, part, torch.zeros_like(part), count=label.numel(), num_processes=3)
        for part in (prediction[:5], prediction[5:], prediction[7:])
    ]
    whole = torch.nn.functional.mse_loss(prediction, label)
    torch.testing.assert_close(torch.stack(shares).mean(), whole)
    (gradient,) = torch.autograd.grad(torch.stack(shares).mean(), prediction)
    (expected,) = torch.autograd.grad(whole, prediction)
    torch.testing.assert_close(gradient, expected)


def test_hands_the_loss_its_own_arguments():
    error = torch.tensor([3.0])
    assert loss_function("huber_loss", {"delta": 0.5})(error, torch.zeros(1)).item() == pytest.approx(0.5 * (3 - 0.25))


def test_names_an_argument_that_the_loss_does_not_have():
    with pytest.raises(ValueError, match=r"train_loss_arg: l1_loss has no argument 'delta'"):
        loss_function("l1_loss", {"delta": 0.5})


def test_does_not_let_the_reduction_be_changed():
    with pytest.raises(ValueError, match="reduction"):
        loss_function("mse_loss", {"reduction": "none"})


def test_names_the_losses_there_are():
    with pytest.raises(ValueError, match=r"got 'mse', expected one of mse_loss, l1_loss, huber_loss"):
        loss_function("mse")


def test_smoothing_mixes_in_the_previous_value_without_its_gradient():
    smoother = LossSmoother()
    first, second = torch.tensor(4.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    assert smoother("y", first, alpha=0.25).item() == 4.0
    value = smoother("y", second, alpha=0.25)
    assert value.item() == pytest.approx(0.25 * 2 + 0.75 * 4)
    value.backward()
    assert second.grad.item() == pytest.approx(0.25)
    assert first.grad is None


def test_smoothing_of_one_changes_nothing():
    smoother = LossSmoother()
    smoother("y", torch.tensor(4.0), alpha=1.0)
    assert smoother("y", torch.tensor(2.0), alpha=1.0).item() == 2.0


@pytest.mark.parametrize(("num_processes", "expected"), [(2, 3.0), (1, 2.0), (3, 2.0)])
def test_smoothing_goes_on_with_its_own_state_or_the_mean(num_processes, expected):
    smoother = LossSmoother()
    smoother.load([{"y": torch.tensor(1.0)}, {"y": torch.tensor(3.0)}], rank=1, num_processes=num_processes)
    assert smoother("y", torch.tensor(0.0), alpha=0.5).item() == 0.5 * expected


def test_smoothing_starts_anew_without_a_state():
    smoother = LossSmoother()
    smoother.load([], rank=0, num_processes=1)
    assert smoother("y", torch.tensor(2.0), alpha=0.5).item() == 2.0


def test_names_a_value_that_the_loss_does_not_take():
    with pytest.raises(ValueError, match=r"huber_loss does not take delta: -1 \(huber_loss does not support"):
        loss_function("huber_loss", {"delta": -1})
