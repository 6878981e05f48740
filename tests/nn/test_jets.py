"""Functions of the distance that carry their derivative."""

import pytest
import torch
from torch import Tensor, nn

from torchmdnet.nn.activations import activation_class
from torchmdnet.nn.jets import Jet, attach_jet, attach_product, jet_activation, jet_linear
from torchmdnet.nn.radial import cosine_cutoff_jet, radial_basis


class Network(nn.Module):
    """Two layers over radial functions, times the cutoff."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.basis = radial_basis("expnorm", 0.0, cutoff_upper=5.0, num_rbf=6, trainable=True, dtype=torch.float64)
        self.linears = nn.ModuleList([nn.Linear(6, 5), nn.Linear(5, 4)]).double()
        self.act = activation_class(activation)()

    def forward(self, distance: Tensor, *, as_jet: bool) -> Tensor:
        source = distance.detach() if as_jet else distance
        jet, cutoff = self.basis.jet(source), cosine_cutoff_jet(source.unsqueeze(1), 0.0, 5.0)
        if not as_jet:
            jet, cutoff = Jet(jet.value, None), Jet(cutoff.value, None)
        for linear in self.linears:
            jet = jet_activation(jet_linear(jet, linear.weight, linear.bias), self.act)
        return attach_product(jet, cutoff, distance=distance)


def loss_gradients(network: Network, *, as_jet: bool) -> dict[str, Tensor]:
    """Gradients by the weights of a loss on values and on derivatives, which trains on forces."""
    distance = torch.linspace(0.5, 4.5, 7, dtype=torch.float64).requires_grad_()
    value = network(distance, as_jet=as_jet)
    (slope,) = torch.autograd.grad(value.square().sum(), distance, create_graph=True)
    network.zero_grad()
    (value.sin().sum() + slope.square().sum()).backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {"value": value.detach(), "slope": slope.detach(), **gradients}


@pytest.mark.parametrize("activation", ["silu", "ssp", "tanh", "sigmoid", "mish"])
def test_training_on_derivatives_is_the_same_with_jets(activation: str) -> None:
    network = Network(activation)
    expected, got = loss_gradients(network, as_jet=False), loss_gradients(network, as_jet=True)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_an_attached_jet_has_the_slope_as_derivative() -> None:
    distance = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    jet = Jet(torch.tensor([[3.0], [4.0]]).double(), torch.tensor([[5.0], [6.0]]).double())
    (slope,) = torch.autograd.grad(attach_jet(jet, distance).sum(), distance)
    torch.testing.assert_close(slope, torch.tensor([5.0, 6.0], dtype=torch.float64))


def test_without_grad_mode_jets_are_plain_values() -> None:
    network, distance = Network("tanh"), torch.linspace(0.5, 4.5, 7, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(distance, as_jet=True), network(distance, as_jet=False))
