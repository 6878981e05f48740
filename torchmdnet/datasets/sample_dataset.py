"""A user's own data set, any sequence of samples, with the interface of the package's data sets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch, Data

from torchmdnet.datasets.validation import DatasetError

__all__ = ["SampleDataset"]


class SampleDataset:
    """Wraps a data set that has only ``len`` and ``[i]``; slow beside a memory-mapped one.

    Args:
        samples: gives ``torch_geometric.data.Data`` with z (n,), pos (n, 3) and labels.

    Raises:
        DatasetError: the data set is empty, or its samples lack z or pos.
    """

    def __init__(self, samples: Any) -> None:
        self.samples = samples
        self.name = type(samples).__name__
        self.energy_unit: str = getattr(samples, "energy_unit", "eV")
        self.length_unit: str = getattr(samples, "length_unit", "Å")
        self.fitted_atomref: Tensor | None = None
        if len(samples) == 0:
            raise DatasetError(f"{self.name}: the data set has no frames")
        self.fields = tuple(samples[0].keys())
        for name in ("z", "pos"):
            if name not in self.fields:
                raise DatasetError(f"{self.name}: samples have {', '.join(self.fields)}, but no {name!r}")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Data:
        sample: Data = self.samples[int(index)].clone()
        if "y" in sample and sample.y.ndim < 2:
            sample.y = sample.y.reshape(1, -1)
        sample.frame = torch.tensor([int(index) % len(self)])
        return sample

    def get_batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Several samples as one batch."""
        return Batch.from_data_list([self[int(index)] for index in indices])

    def energies(self) -> Tensor:
        """Energy of every sample. (len,) float64"""
        return torch.cat([self[index].y.reshape(-1)[:1].double() for index in range(len(self))])

    def frames_with_element_from(self, limit: int) -> list[int]:
        """Samples that hold an atomic number of at least ``limit``."""
        return [index for index in range(len(self)) if int(self.samples[index].z.max()) >= limit]

    def frame_name(self, index: int) -> str:
        """What messages call a sample."""
        return f"{self.name}, frame {index % len(self)}"

    def get_atomref(self, max_z: int = 100) -> Tensor | None:
        """Reference energy of each element: the data set's own, or else ``fitted_atomref``. (max_z, 1) or None"""
        own = getattr(self.samples, "get_atomref", None)
        table = own(max_z) if own is not None else None
        return self.fitted_atomref if table is None else table

    def __getattr__(self, name: str) -> Any:
        # Priors look for attributes such as distance_scale on the data set
        if name == "samples":
            raise AttributeError(name)
        return getattr(self.samples, name)
