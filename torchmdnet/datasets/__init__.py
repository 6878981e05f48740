"""Data sets by the name used for the option ``dataset``."""

from torchmdnet.datasets.ase_database import ASEDatabase
from torchmdnet.datasets.custom import Custom
from torchmdnet.datasets.extxyz import ExtXYZ
from torchmdnet.datasets.hdf5 import HDF5
from torchmdnet.datasets.md17 import MD17
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.datasets.validation import DatasetError

__all__ = ["DATASETS", "HDF5", "MD17", "ASEDatabase", "Custom", "DatasetError", "ExtXYZ", "StoredDataset"]

DATASETS: dict[str, type[StoredDataset]] = {
    "HDF5": HDF5,
    "Custom": Custom,
    "MD17": MD17,
    "ExtXYZ": ExtXYZ,
    "ASEDatabase": ASEDatabase,
}
