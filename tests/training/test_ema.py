"""Averaged weights."""

import pytest
import torch
from torch import nn

from torchmdnet.training.ema import WeightAverage


def make(decay=0.9):
    torch.manual_seed(0)
    module = nn.Linear(2, 2)
    return module, WeightAverage(module, decay)


def set_all(module, value):
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(value)


def test_follows_its_definition():
    module, average = make(decay=0.5)
    expected = module.weight.detach().clone()
    for n, value in enumerate([1.0, -2.0, 3.0, 0.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]):
        set_all(module, value)
        average.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(average.averages()["weight"], expected)


def test_of_constant_weights_is_the_weights():
    module, average = make(decay=0.999)
    before = module.weight.detach().clone()
    for _ in range(5):
        average.update()
    torch.testing.assert_close(average.averages()["weight"], before)


def test_module_holds_the_averages_only_inside_the_context():
    module, average = make()
    set_all(module, 3.0)
    average.update()
    expected = average.averages()["weight"].clone()
    with average.in_use():
        assert torch.equal(module.weight, expected)
    assert torch.equal(module.weight, torch.full((2, 2), 3.0))
    assert torch.equal(average.averages()["weight"], expected)


def test_goes_on_from_stored_averages_bit_for_bit():
    module, average = make()
    set_all(module, 3.0)
    average.update()
    stored = {name: value.clone() for name, value in average.averages().items()}
    again = WeightAverage(module, 0.9)
    again.load(stored, num_updates=average.num_updates)
    set_all(module, -1.0)
    average.update()
    again.update()
    assert torch.equal(average.averages()["weight"], again.averages()["weight"])


def test_refuses_averages_of_another_model():
    _, average = make()
    with pytest.raises(KeyError, match="averaged weights of another model: bias, other in only one of the two"):
        average.load({"weight": torch.zeros(2, 2), "other": torch.zeros(2)}, num_updates=1)
