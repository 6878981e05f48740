"""The tensor of an atom's surroundings."""

import torch
from small_models import two_molecules

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.nn.environment import edge_table, environment_tensor
from torchmdnet.nn.tensor_layers import edge_components


def make_graph() -> Graph:
    z, pos, batch = two_molecules()
    system = System(z=z, pos=pos, batch=batch, num_systems=2)
    return neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True)


def test_is_the_sum_over_neighbours() -> None:
    graph = make_graph()
    torch.manual_seed(0)
    weight = torch.randn(len(graph.pair_distance), 3, 4, dtype=torch.float64)
    own, other = torch.randn(2, 8, 4, dtype=torch.float64)
    y = edge_components(graph)
    expected = torch.zeros(9, 8, 4, dtype=torch.float64)
    for edge, (i, j, pair) in enumerate(zip(graph.receiver, graph.sender, graph.pair, strict=True)):
        for component, part in enumerate((0, 1, 1, 1, 2, 2, 2, 2, 2)):
            expected[component, i] += weight[pair, part] * (own[i] + other[j]) * y[edge, component]
    torch.testing.assert_close(environment_tensor(weight, y, own=own, other=other, graph=graph), expected)


def test_table_holds_each_edge_once() -> None:
    graph = make_graph()
    table = edge_table(graph)
    is_edge = table.pair < len(graph.pair_distance)
    assert torch.equal(table.edge[is_edge], torch.arange(len(graph.receiver)))


def test_table_of_no_atoms_is_empty() -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    system = System(z=nothing, pos=torch.zeros(0, 3), batch=nothing, num_systems=0)
    table = edge_table(neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True))
    assert table.edge.shape == (0, 0)
