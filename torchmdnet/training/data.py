"""The data of a run: data set, split, reference energies, loaders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from torchmdnet.config import Config
from torchmdnet.datasets import DATASETS
from torchmdnet.datasets.create import Parts, create_dataset
from torchmdnet.datasets.sample_dataset import SampleDataset
from torchmdnet.training.data_checks import check_data
from torchmdnet.training.distributed import is_rank_zero
from torchmdnet.training.sampler import EpochLoader, EpochSampler
from torchmdnet.training.splits import Splits, load_splits, make_splits, save_splits
from torchmdnet.training.standardization import Standardization, energy_statistics, fitted_atomref, uses_atomref

__all__ = ["DataModule"]


class DataModule(pl.LightningDataModule):
    """Makes the batches of training, validation and test.

    A batch has ``num_graphs`` systems. With several processes the parts of a global batch may differ by one system, so
    a mean over the global batch must weight each process by what it holds; see :class:`EpochSampler` for the order.

    After :meth:`setup`: ``dataset``, ``idx_train``, ``idx_val``, ``idx_test``, and where the options ask for it the
    reference energies (``dataset.get_atomref()``, fitted to the training energies if the source brings none).

    Args:
        hparams: options by key, those of :class:`torchmdnet.config.Config`; absent ones take their defaults.
        dataset: used instead of the one that the options name; any sequence of ``torch_geometric.data.Data``.
    """

    dataset: Any

    def __init__(self, hparams: Mapping[str, Any] | Any, dataset: Any = None) -> None:
        super().__init__()
        given = dict(hparams) if isinstance(hparams, Mapping) else vars(hparams)
        known = {key: value for key, value in given.items() if key in Config.option_names()}
        self.options: dict[str, Any] = Config.from_dict(known).to_dict()
        self.save_hyperparameters(self.options, logger=False)
        self.dataset = dataset
        self._splits: Splits | None = None
        self._atomref: Tensor | None = None
        self._standardization: Standardization | None = None
        self._loaders: dict[str, EpochLoader] = {}

    def setup(self, stage: str | None = None) -> None:
        """Open the data set, check it against the options, split it, write ``log_dir/splits.npz``.

        Raises:
            ValueError: data or options cannot be used.
            FileNotFoundError: a file is missing.
        """
        if self._splits is not None:
            return
        parts = self._open()
        self.dataset = parts.dataset
        check_data(self.dataset, self.options)
        splits = self._split(parts)
        if self.options["test_interval"] > 0 and len(splits.val) == 0:
            raise ValueError(
                "test_interval: the test set is evaluated along with a validation set, and val_size gives none"
            )
        self._splits = splits
        if is_rank_zero():
            save_splits(splits, Path(self.options["log_dir"]).expanduser() / "splits.npz")
        if uses_atomref(self.options) and "y" in self.dataset.fields:
            self.dataset.fitted_atomref = self.atomref
        if self.options["standardize"]:
            atomref = self.atomref if uses_atomref(self.options) else None
            self._standardization = energy_statistics(self.dataset, self.idx_train, atomref=atomref)

    @property
    def idx_train(self) -> NDArray[np.int64]:
        """Frames of the training set."""
        return self._get_splits().train

    @property
    def idx_val(self) -> NDArray[np.int64]:
        """Frames of the validation set."""
        return self._get_splits().val

    @property
    def idx_test(self) -> NDArray[np.int64]:
        """Frames of the test set."""
        return self._get_splits().test

    @property
    def atomref(self) -> Tensor:
        """Reference energy of each element: the data set's, or fitted to the training energies. (max_z, 1) float64"""
        if self._atomref is None:
            max_z = self.options["max_z"]
            table = self.dataset.get_atomref(max_z)
            self._atomref = fitted_atomref(self.dataset, self.idx_train, max_z=max_z) if table is None else table
        return self._atomref

    @property
    def mean(self) -> Tensor | None:
        """Mean of the training energies with ``standardize``. (1,)"""
        return None if self._standardization is None else self._standardization.mean

    @property
    def std(self) -> Tensor | None:
        """Standard deviation of the training energies with ``standardize``. (1,)"""
        return None if self._standardization is None else self._standardization.std

    def train_dataloader(self) -> EpochLoader:
        """Batches of the training set in an order given by seed and epoch."""
        return self._loader("train", self.idx_train, batch_size=self.options["batch_size"], seed=self.options["seed"])

    def val_dataloader(self) -> list[EpochLoader]:
        """The validation set, and in every ``test_interval``-th epoch the test set as the second loader."""
        if len(self.idx_val) == 0:
            return []
        loaders = [self._loader("val", self.idx_val, batch_size=self._inference_batch_size)]
        interval = self.options["test_interval"]
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        if interval > 0 and len(self.idx_test) > 0 and epoch > 0 and epoch % interval == 0:
            loaders.append(self._loader("test", self.idx_test, batch_size=self._inference_batch_size))
        return loaders

    def test_dataloader(self) -> EpochLoader | list[EpochLoader]:
        """The test set; an empty list if it has no frames."""
        if len(self.idx_test) == 0:
            return []
        return self._loader("test", self.idx_test, batch_size=self._inference_batch_size)

    @property
    def _inference_batch_size(self) -> int:
        return self.options["inference_batch_size"] or self.options["batch_size"]

    def _get_splits(self) -> Splits:
        if self._splits is None:
            self.setup()
        assert self._splits is not None
        return self._splits

    def _open(self) -> Parts:
        if self.dataset is None:
            return create_dataset(self.options, DATASETS)
        dataset = self.dataset if hasattr(self.dataset, "get_batch") else SampleDataset(self.dataset)
        return Parts(dataset, np.arange(len(dataset)), None, None)

    def _split(self, parts: Parts) -> Splits:
        options = self.options
        separate = parts.val is not None or parts.test is not None
        if options["splits"] is not None:
            if separate:
                raise ValueError(
                    "splits and val_dataset_root or test_dataset_root exclude each other; give one of them"
                )
            return load_splits(options["splits"], len(parts.dataset))
        drawn = make_splits(
            len(parts.main),
            train_size=options["train_size"],
            val_size=options["val_size"] if parts.val is None else 0,
            test_size=0 if separate else options["test_size"],
            seed=options["seed"],
        )
        drawn = Splits(*(parts.main[indices] for indices in drawn))
        return Splits(
            drawn.train, drawn.val if parts.val is None else parts.val, drawn.test if parts.test is None else parts.test
        )

    def _loader(self, name: str, frames: NDArray[np.int64], *, batch_size: int, seed: int | None = None) -> EpochLoader:
        """Made once, so that workers live on and the order's state is kept."""
        rank, world_size = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        key = f"{name} {rank}/{world_size}"
        if key not in self._loaders:
            sampler = EpochSampler(frames, batch_size, seed=seed, rank=rank, world_size=world_size)
            workers = self.options["num_workers"]
            self._loaders[key] = EpochLoader(
                _Batches(self.dataset),
                sampler,
                num_workers=workers,
                persistent_workers=workers > 0,
                pin_memory=torch.cuda.is_available() and self.options["accelerator"] != "cpu",
                generator=torch.Generator(),  # workers' seeds: not drawn from the global generator
            )
        return self._loaders[key]


class _Batches:
    """A data set indexed by many frames at once."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, frames: NDArray[np.int64]) -> Batch:
        batch: Batch = self.dataset.get_batch(frames)
        return batch
