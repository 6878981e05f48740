"""Atom embedding that knows the neighbours."""

import torch
from small_models import two_molecules

from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.nn.distance_functions import distance_functions
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import cosine_cutoff, radial_basis


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
    got = layer(x, z, graph=graph, functions=functions)
    torch.testing.assert_close(got, layer.combine(torch.cat([x, summed], dim=1)))
