"""Representation models by their names in a configuration."""

from torchmdnet.models.equivariant_transformer import TorchMD_ET
from torchmdnet.models.tensornet import TensorNet
from torchmdnet.nn.representation import Representation

__all__ = ["MODELS", "TensorNet", "TorchMD_ET"]

MODELS: dict[str, type[Representation]] = {
    "equivariant-transformer": TorchMD_ET,
    "tensornet": TensorNet,
}
