"""Import paths of TorchMD-NET."""

from torchmdnet.models.transformer import TorchMD_T

__all__ = ["TorchMD_T"]
