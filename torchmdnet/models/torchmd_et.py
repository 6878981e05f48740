"""Import paths of TorchMD-NET."""

from torchmdnet.models.equivariant_transformer import TorchMD_ET

__all__ = ["TorchMD_ET"]
