"""A graph of fixed length goes through every model without a look at a number: torch.compile makes one piece of it."""

import pytest
import torch
from padded_graphs import padded
from small_models import small_model, two_molecules
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.models import MODELS
from torchmdnet.neighbors import use_static_shapes

Z, POS, BATCH = two_molecules()


class GivenGraph(nn.Module):
    """Takes the place of a neighbour list."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, system: System) -> Graph:
        return self.graph


# PyTorch warns of how its own compiler traces an autograd.Function.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "activation", "second_derivatives"),
    [
        *((name, "silu", False) for name in sorted(MODELS)),
        ("equivariant-transformer", "tanh", False),
        ("equivariant-transformer", "silu", True),
        ("tensornet", "silu", True),
    ],
)
def test_representation_is_compiled_whole(name: str, activation: str, second_derivatives: bool) -> None:
    torch.compiler.reset()
    model = small_model(name, activation=activation).representation_model
    graph = padded(model.distance(System(Z, POS, BATCH, 2)), 7, cutoff=4.0)
    leaves = (graph.vector.requires_grad_(), graph.pair_distance.requires_grad_())
    model.distance = GivenGraph(graph)

    def features(z: Tensor, batch: Tensor) -> Tensor:
        x: Tensor = model.represent(System(z, POS, batch, 2), second_derivatives=second_derivatives).x
        return x

    expected = features(Z, BATCH)
    got = torch.compile(features, fullgraph=True, backend="aot_eager")(Z, BATCH)
    torch.testing.assert_close(got, expected)
    for value, wanted in zip(
        torch.autograd.grad(got.sin().sum(), leaves, allow_unused=True),
        torch.autograd.grad(expected.sin().sum(), leaves, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(value, wanted)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "static_shapes"), [*((name, True) for name in sorted(MODELS)), ("equivariant-transformer", False)]
)
def test_potential_is_compiled_whole_with_its_neighbor_list(name: str, static_shapes: bool) -> None:
    torch.compiler.reset()
    model = small_model(name).eval()
    energy, forces = model(Z, POS, BATCH, num_systems=2)
    use_static_shapes(model, enabled=static_shapes)
    model.derivative = False
    model(Z, POS, BATCH, num_systems=2)
    pos = POS.clone().requires_grad_()
    got, _ = torch.compile(model, fullgraph=True, backend="aot_eager")(Z, pos, BATCH, num_systems=2)
    torch.testing.assert_close(got, energy)
    torch.testing.assert_close(-torch.autograd.grad(got.sum(), pos)[0], forces)
