"""Activation functions by name."""

import pytest
import torch

from torchmdnet.nn.activations import ShiftedSoftplus, act_class_mapping, activation_class

POINTS = torch.linspace(-5, 5, 11, dtype=torch.float64)


def test_shifted_softplus_uses_the_published_models_constant() -> None:
    expected = torch.log(1 + torch.exp(POINTS)) - 0.6931471824645996
    torch.testing.assert_close(ShiftedSoftplus()(POINTS), expected)


@pytest.mark.parametrize("name", ["silu", "swish"])
def test_silu_and_swish_are_one_function(name: str) -> None:
    torch.testing.assert_close(activation_class(name)()(POINTS), POINTS * torch.sigmoid(POINTS))


def test_has_every_name_of_the_configuration() -> None:
    assert set(act_class_mapping) == {"ssp", "silu", "tanh", "sigmoid", "swish", "mish"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="activation 'relu' is not known; choose one of ssp, silu, tanh"):
        activation_class("relu")
