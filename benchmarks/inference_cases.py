"""Models and water for ``inference.py``: NumPy alone, so that any library can be asked the same."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CUTOFF = 5.0
"""Å, of every model."""
MOLECULES_PER_CUBIC_ANGSTROM = 0.0334
WATER = np.array([[0.0, 0.0, 0.0], [0.7572, 0.5859, 0.0], [-0.7572, 0.5859, 0.0]])
"""O, H, H in Å."""
NUMBERS = (8, 1, 1)

COMMON: dict[str, Any] = {
    "output_model": "Scalar",
    "prior_model": None,
    "rbf_type": "expnorm",
    "trainable_rbf": False,
    "activation": "silu",
    "cutoff_lower": 0.0,
    "cutoff_upper": CUTOFF,
    "max_z": 100,
    "max_num_neighbors": 128,
    "atom_filter": -1,
    "reduce_op": "add",
    "derivative": True,
    "precision": 32,
}
SCALARS: dict[str, Any] = COMMON | {"num_rbf": 64, "neighbor_embedding": True}
ATTENTION: dict[str, Any] = SCALARS | {"attn_activation": "silu", "num_heads": 8, "distance_influence": "both"}
TRANSFORMER: dict[str, Any] = ATTENTION | {"model": "equivariant-transformer", "vector_cutoff": False}
TENSORS: dict[str, Any] = COMMON | {
    "embedding_dimension": 128,
    "num_layers": 2,
    "num_rbf": 32,
    "equivariance_invariance_group": "O(3)",
}
MODELS: dict[str, dict[str, Any]] = {
    "TensorNet": TENSORS | {"model": "tensornet"},
    "ET-SPICE": TRANSFORMER | {"embedding_dimension": 128, "num_layers": 6},
    "ET-QM9": TRANSFORMER | {"embedding_dimension": 256, "num_layers": 8},
    "GraphNetwork": SCALARS | {"model": "graph-network", "embedding_dimension": 128, "num_layers": 6, "aggr": "add"},
    "Transformer": ATTENTION | {"model": "transformer", "embedding_dimension": 128, "num_layers": 6},
    "TensorNet2": TENSORS | {"model": "tensornet2", "q_dim": 16},
}
"""Options as TorchMD-NET takes them: the equivariant transformers as in its examples, but for the cutoff of ET-SPICE;
the graph network and the transformer of scalars in the size of ET-SPICE, TensorNet2 in that of TensorNet."""

SYSTEMS = ("24", "64x24", "166", "1029", "5184")
CUDA_SYSTEMS = ("166", "22", "2489", "64x24", "5807", "30327")
"""By importance: a run that is cut short has the first."""


class Atoms(NamedTuple):
    """Water as arrays."""

    z: NDArray[np.int64]
    pos: NDArray[np.float32]
    batch: NDArray[np.int64]
    box: NDArray[np.float32] | None


def make_system(name: str) -> Atoms:
    """Water by the name of its size: ``64x24`` is a batch of droplets, ``24`` one; other numbers are periodic boxes.

    Molecules turned at random stand near the points of a grid at the density of the liquid; where the number of atoms
    is no multiple of three, the last molecule is cut.
    """
    num_systems, num_atoms = (int(word) for word in name.split("x")) if "x" in name else (1, int(name))
    is_droplet = num_atoms <= 24
    rng = np.random.default_rng(num_atoms)
    positions, edge = zip(*(_liquid(num_atoms, rng) for _ in range(num_systems)), strict=True)
    return Atoms(
        z=np.tile(np.resize(NUMBERS, num_atoms), num_systems),
        pos=np.concatenate(positions).astype(np.float32),
        batch=np.repeat(np.arange(num_systems), num_atoms),
        box=None if is_droplet else (np.eye(3) * edge[0]).astype(np.float32),
    )


def _liquid(num_atoms: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """Positions, sorted along the grid, and the edge of the cube."""
    num_molecules = -(-num_atoms // len(NUMBERS))
    edge = (num_molecules / MOLECULES_PER_CUBIC_ANGSTROM) ** (1 / 3)
    side = round(np.ceil(num_molecules ** (1 / 3) - 1e-9))
    points = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    chosen = np.sort(rng.permutation(len(points))[:num_molecules])
    centers = points[chosen] * (edge / side) + rng.normal(scale=0.1, size=(num_molecules, 3))
    turns = np.linalg.qr(rng.normal(size=(num_molecules, 3, 3)))[0]
    return (centers[:, None] + WATER @ turns).reshape(-1, 3)[:num_atoms], edge
