"""Building blocks are made and called as TorchMD-NET's users do it."""

import pytest
import torch
from torch.nn import functional as F

from torchmdnet.models.utils import (
    GLU,
    MLP,
    CosineCutoff,
    ExpNormalSmearing,
    GatedEquivariantBlock,
    GaussianSmearing,
    SwiGLU,
    Swish,
    scatter,
)

X = torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(3, 4)


def test_swish_is_the_argument_times_a_logistic_function() -> None:
    torch.testing.assert_close(Swish(2.0)(X), X / (1 + torch.exp(-2 * X)))


def test_a_gated_linear_unit_multiplies_two_linear_maps() -> None:
    torch.manual_seed(0)
    unit = GLU(4, 6, torch.nn.ReLU()).double()
    expected = F.linear(X, unit.W.weight, unit.W.bias) * F.linear(X, unit.V.weight, unit.V.bias).clamp(min=0)
    torch.testing.assert_close(unit(X), expected)


def test_a_gated_linear_unit_has_a_logistic_gate_and_keeps_the_channels_by_default() -> None:
    torch.manual_seed(0)
    unit = GLU(4).double()
    torch.testing.assert_close(unit(X), unit.W(X) / (1 + torch.exp(-unit.V(X))))


def test_swiglu_is_a_gated_linear_unit_with_swish() -> None:
    torch.manual_seed(0)
    unit = SwiGLU(4, 6, 1.5).double()
    torch.testing.assert_close(unit(X), unit.glu.W(X) * Swish(1.5)(unit.glu.V(X)))
    assert sorted(unit.state_dict()) == ["glu.V.bias", "glu.V.weight", "glu.W.bias", "glu.W.weight"]


@pytest.mark.parametrize("unit", [Swish(1.5), GLU(4, 3), SwiGLU(4, 3)])
def test_units_have_right_derivatives(unit: torch.nn.Module) -> None:
    x = X.clone().requires_grad_()
    unit = unit.double()
    assert torch.autograd.gradcheck(unit, (x,))
    assert torch.autograd.gradgradcheck(unit, (x,))


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        ("sum", [[4.0, 6.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]),
        ("add", [[4.0, 6.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]),
        ("mean", [[4.0 / 3, 2.0], [0.0, 0.0], [1.0, 1.5], [0.0, 0.0]]),
        ("max", [[4.0, 5.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]),
    ],
)
def test_scatter_counts_a_row_of_zeros(reduce: str, expected: list[list[float]]) -> None:
    src, index = torch.arange(6.0).reshape(3, 2), torch.tensor([0, 2, 0])
    torch.testing.assert_close(scatter(src, index, 0, 4, reduce), torch.tensor(expected))


def test_scatter_reduces_along_any_axis() -> None:
    src = torch.arange(24.0).reshape(2, 3, 4)
    got = scatter(src, torch.tensor([1, 0, 1]), dim=1)
    torch.testing.assert_close(got, torch.stack([src[:, 1], src[:, 0] + src[:, 2]], dim=1))
    torch.testing.assert_close(scatter(src[0, 0], torch.tensor([0, 1, 1, 0])), torch.tensor([3.0, 3.0]))


def test_scatter_of_nothing_is_nothing() -> None:
    assert scatter(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long)).shape == (0, 5)
    torch.testing.assert_close(
        scatter(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long), dim_size=2), torch.zeros(2, 5)
    )


def test_scatter_lists_the_reductions() -> None:
    with pytest.raises(ValueError, match="reduce: got 'prod', expected one of sum, add, mean, max"):
        scatter(torch.zeros(1, 1), torch.zeros(1, dtype=torch.long), reduce="prod")


@pytest.mark.parametrize("basis", [ExpNormalSmearing, GaussianSmearing])
def test_a_radial_basis_takes_its_arguments_by_position(basis: type[torch.nn.Module]) -> None:
    made = basis(0.5, 4.0, 7, False, torch.float64)
    distance = torch.linspace(0.6, 3.9, 5, dtype=torch.float64)
    assert made(distance).shape == (5, 7)
    assert list(made.parameters()) == []
    default = basis()
    assert default(torch.ones(2)).shape == (2, 50)
    assert len(list(default.parameters())) == 2


def test_the_cutoff_ends_at_five_by_default() -> None:
    torch.testing.assert_close(CosineCutoff()(torch.tensor([0.0, 2.5, 5.0])), torch.tensor([1.0, 0.5, 0.0]))


def test_a_network_takes_the_name_of_its_activation() -> None:
    network = MLP(4, 2, 3, "tanh", 1, torch.float64)
    assert sorted(network.state_dict()) == [f"layers.{k}.{part}" for k in (0, 2, 4) for part in ("bias", "weight")]
    expected = network.layers[4](torch.tanh(network.layers[2](torch.tanh(network.layers[0](X)))))
    torch.testing.assert_close(network(X), expected)


def test_an_unknown_activation_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="activation 'relu' is not known; choose one of ssp, silu"):
        MLP(4, 2, 3, "relu")


def test_a_gated_block_takes_its_arguments_by_position() -> None:
    block = GatedEquivariantBlock(4, 2, 5, "silu", True, torch.float64)
    assert block.update_net.layers[0].weight.shape == (5, 8)
    x, v = block(X, torch.randn(3, 3, 4, dtype=torch.float64))
    assert (x.shape, v.shape) == ((3, 2), (3, 3, 2))
