"""Messages with a weight for each edge."""

import torch

from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops.edge_message import edge_message
from torchmdnet.ops.tensor_message import tensor_message

PART = (0, 1, 1, 1, 2, 2, 2, 2, 2)
"""Part of the weight that each component is multiplied with."""


def make(num_atoms: int = 5, channels: int = 3) -> tuple:
    generator = torch.Generator().manual_seed(0)
    pos = torch.randn((num_atoms, 3), generator=generator, dtype=torch.float64)
    atoms = torch.zeros(num_atoms, dtype=torch.long)
    graph = neighbor_graph(System(atoms, pos, atoms, 1), cutoff_lower=0.0, cutoff_upper=2.0, loop=True)
    weight = torch.randn((len(graph.receiver), 3, channels), generator=generator, dtype=torch.float64)
    x = torch.randn((9, num_atoms, channels), generator=generator, dtype=torch.float64)
    return weight, x, graph


def test_adds_each_edge_with_its_own_weight() -> None:
    weight, x, graph = make()
    expected = torch.zeros_like(x)
    for edge, (i, j) in enumerate(zip(graph.receiver.tolist(), graph.sender.tolist(), strict=True)):
        for component, part in enumerate(PART):
            expected[component, i] += weight[edge, part] * x[component, j]
    torch.testing.assert_close(edge_message(weight, x, graph), expected)


def test_is_the_tensor_message_where_both_directions_share_a_weight() -> None:
    _, x, graph = make()
    shared = torch.randn((len(graph.pair_distance), 3, 3), generator=torch.Generator().manual_seed(1)).double()
    got = edge_message(shared[graph.pair], x, graph)
    torch.testing.assert_close(got, tensor_message(shared, x, graph))


def test_has_right_first_and_second_derivatives() -> None:
    weight, x, graph = make(num_atoms=3, channels=1)
    inputs = (weight.requires_grad_(), x.requires_grad_())
    assert torch.autograd.gradcheck(lambda w, y: edge_message(w, y, graph), inputs)
    assert torch.autograd.gradgradcheck(lambda w, y: edge_message(w, y, graph), inputs)


def test_no_atoms_have_no_messages() -> None:
    _, _, graph = make(num_atoms=0)
    assert edge_message(torch.zeros(0, 3, 2), torch.zeros(9, 0, 2), graph).shape == (9, 0, 2)
