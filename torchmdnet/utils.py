"""Import paths of TorchMD-NET."""

from torchmdnet.datasets.hdf5 import write_as_hdf5

__all__ = ["write_as_hdf5"]
