"""Import paths of TorchMD-NET."""

from torchmdnet.datasets.water_box import WaterBox

__all__ = ["WaterBox"]
