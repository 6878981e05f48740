"""Import paths of TorchMD-NET."""

from torchmdnet.training.data import DataModule

__all__ = ["DataModule"]
