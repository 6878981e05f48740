"""Import paths of TorchMD-NET."""

from torchmdnet.datasets.ani1 import ANI1
from torchmdnet.datasets.ani1ccx import ANI1CCX
from torchmdnet.datasets.ani1x import ANI1X
from torchmdnet.datasets.ani2x import ANI2X

__all__ = ["ANI1", "ANI1CCX", "ANI1X", "ANI2X"]
