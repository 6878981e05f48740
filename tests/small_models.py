"""Small models and systems that tests of models, heads and the potential share."""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.factory import create_model
from torchmdnet.potential import TorchMD_Net

OPTIONS: dict[str, Any] = {
    "embedding_dimension": 8,
    "num_layers": 2,
    "num_rbf": 6,
    "rbf_type": "expnorm",
    "trainable_rbf": False,
    "activation": "silu",
    "attn_activation": "silu",
    "neighbor_embedding": True,
    "aggr": "add",
    "num_heads": 2,
    "distance_influence": "both",
    "vector_cutoff": True,
    "equivariance_invariance_group": "O(3)",
    "q_dim": 3,
    "cutoff_lower": 0.0,
    "cutoff_upper": 4.0,
    "max_z": 10,
    "max_num_neighbors": 32,
    "output_model": "Scalar",
    "reduce_op": "add",
    "prior_model": None,
    "atom_filter": -1,
    "derivative": True,
    "precision": 64,
}


def small_model(model: str, **changes: Any) -> TorchMD_Net:
    """A potential of a few hundred weights, the same at every call, in evaluation mode."""
    torch.manual_seed(3)
    return create_model({**OPTIONS, "model": model, **changes}).eval()


def two_molecules(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """z, pos and batch of molecules of five and three atoms."""
    generator = torch.Generator().manual_seed(5)
    pos = torch.randn((8, 3), generator=generator, dtype=torch.float64) * 1.2
    return torch.tensor([6, 1, 8, 1, 7, 8, 1, 1]), pos.to(dtype), torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])


def rotation(seed: int = 0) -> Tensor:
    """A random proper rotation. (3, 3) float64"""
    generator = torch.Generator().manual_seed(seed)
    matrix, _ = torch.linalg.qr(torch.randn((3, 3), generator=generator, dtype=torch.float64))
    return matrix * torch.linalg.det(matrix)
