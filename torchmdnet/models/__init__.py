"""Representation models by their names in a configuration."""

from torchmdnet.models.equivariant_transformer import TorchMD_ET
from torchmdnet.models.graph_network import TorchMD_GN
from torchmdnet.models.radial_tables import use_radial_tables
from torchmdnet.models.tensornet import TensorNet
from torchmdnet.models.tensornet2 import TensorNet2
from torchmdnet.models.transformer import TorchMD_T
from torchmdnet.nn.representation import Representation

__all__ = ["MODELS", "TensorNet", "TensorNet2", "TorchMD_ET", "TorchMD_GN", "TorchMD_T", "use_radial_tables"]

MODELS: dict[str, type[Representation]] = {
    "graph-network": TorchMD_GN,
    "transformer": TorchMD_T,
    "equivariant-transformer": TorchMD_ET,
    "tensornet": TensorNet,
    "tensornet2": TensorNet2,
}
