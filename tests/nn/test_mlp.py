"""Fully connected networks."""

import torch
from torch import nn

from torchmdnet.nn.mlp import MLP


def make(num_hidden_layers: int = 0) -> MLP:
    torch.manual_seed(0)
    return MLP(64, 32, hidden_channels=48, activation=nn.Tanh, num_hidden_layers=num_hidden_layers)


def test_layers_have_even_numbers() -> None:
    expected = [f"layers.{number}.{kind}" for number in (0, 2, 4) for kind in ("weight", "bias")]
    assert list(make(num_hidden_layers=1).state_dict()) == expected


def test_starts_with_xavier_uniform_weights_and_zero_biases() -> None:
    state = make().state_dict()
    bound = (6 / (64 + 48)) ** 0.5
    assert 0.9 * bound < float(state["layers.0.weight"].abs().max()) <= bound
    assert not bool(state["layers.0.bias"].any())


def test_hidden_layers_are_added() -> None:
    assert [tuple(p.shape) for p in make(2).parameters() if p.ndim == 2] == [(48, 64), (48, 48), (48, 48), (32, 48)]
