"""Import paths of TorchMD-NET."""

from torchmdnet.training.module import LNNP

__all__ = ["LNNP"]
