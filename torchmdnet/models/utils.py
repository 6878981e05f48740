"""Import paths of TorchMD-NET."""

from torchmdnet.neighbors import OptimizedDistance
from torchmdnet.nn.activations import ShiftedSoftplus, act_class_mapping
from torchmdnet.nn.gated_block import GatedEquivariantBlock
from torchmdnet.nn.gated_linear import GLU, SwiGLU, Swish
from torchmdnet.nn.mlp import MLP
from torchmdnet.nn.neighbor_embedding import NeighborEmbedding
from torchmdnet.nn.radial import CosineCutoff, ExpNormalSmearing, GaussianSmearing, rbf_class_mapping
from torchmdnet.nn.scatter import scatter
from torchmdnet.nn.screened_repulsion import RepulsionZBL

__all__ = [
    "GLU",
    "MLP",
    "CosineCutoff",
    "ExpNormalSmearing",
    "GatedEquivariantBlock",
    "GaussianSmearing",
    "NeighborEmbedding",
    "OptimizedDistance",
    "RepulsionZBL",
    "ShiftedSoftplus",
    "SwiGLU",
    "Swish",
    "act_class_mapping",
    "rbf_class_mapping",
    "scatter",
]
