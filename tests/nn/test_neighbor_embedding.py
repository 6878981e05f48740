"""Atom embedding that knows the neighbours."""

import pytest
import torch
from small_models import two_molecules

from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.nn.distance_functions import distance_functions
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import cosine_cutoff, radial_basis
from torchmdnet.nn.radial_tables import TableCoordinate, build_tables


def test_sums_over_neighbours_without_the_atom_itself() -> None:
    torch.manual_seed(0)
    layer = NeighborEmbedding(4, 6, max_z=10).double()
    basis = radial_basis("expnorm", 0.0, cutoff_upper=2.0, num_rbf=6, trainable=False, dtype=torch.float64)
    z, pos, batch = two_molecules()
    system = System(z=z, pos=pos, batch=batch, num_systems=2)
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True)
    x = torch.randn(8, 4, dtype=torch.float64)
    summed = torch.zeros_like(x)
    for i in range(8):
        for j in range(8):
            distance = torch.linalg.vector_norm(pos[i] - pos[j])
            if i != j and batch[i] == batch[j] and distance < 2:
                weight = layer.distance_proj(basis(distance[None])[0]) * cosine_cutoff(distance, 0.0, 2.0)
                summed[i] += weight * layer.embedding.weight[z[j]]
    functions = distance_functions(graph, basis, second_derivatives=True)
    got = layer(x, z, graph=graph, radial=functions)
    torch.testing.assert_close(got, layer.combine(torch.cat([x, summed], dim=1)))


@pytest.mark.parametrize("box", [None, 1.9], ids=["open", "atoms see their images"])
def test_a_table_leaves_the_atom_itself_out_as_well(box: float | None) -> None:
    torch.manual_seed(0)
    layer = NeighborEmbedding(4, 6, max_z=10).double().eval()
    torch.nn.init.ones_(layer.distance_proj.bias)
    basis = radial_basis("expnorm", 0.0, cutoff_upper=2.0, num_rbf=6, trainable=False, dtype=torch.float64)
    z, pos, batch = two_molecules()
    cell = None if box is None else box * torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    system = System(z=z, pos=pos, batch=batch, num_systems=2, box=cell)
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=2.0, loop=True)
    x = torch.randn(8, 4, dtype=torch.float64)
    exact = layer(x, z, graph=graph, radial=distance_functions(graph, basis, second_derivatives=True))
    scale, (layer.table,) = build_tables(
        [layer], basis, weights=lambda each, f: each.distance_weights(f), tolerance=1e-8
    )
    got = layer(x, z, graph=graph, radial=TableCoordinate(scale.coordinate(graph.pair_distance)))
    torch.testing.assert_close(got, exact, rtol=1e-7, atol=1e-7)
