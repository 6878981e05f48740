"""Import paths of TorchMD-NET."""

from torchmdnet.datasets.hdf5 import HDF5

__all__ = ["HDF5"]
