"""Import paths of TorchMD-NET."""

from torchmdnet.models.graph_network import TorchMD_GN

__all__ = ["TorchMD_GN"]
