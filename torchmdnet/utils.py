"""Import paths of TorchMD-NET."""

from torchmdnet.config.option_text import number, save_argparse
from torchmdnet.datasets.hdf5 import write_as_hdf5
from torchmdnet.training.split_frames import make_splits, train_val_test_split

__all__ = ["make_splits", "number", "save_argparse", "train_val_test_split", "write_as_hdf5"]
