"""Numbers taken from the training energies before training: reference energies of the elements, mean and deviation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmdnet.priors.atomref_fit import fit_atomref

__all__ = ["Standardization", "energy_statistics", "fitted_atomref", "uses_atomref"]

BATCH_FRAMES = 4096


class Standardization(NamedTuple):
    """Mean and unbiased standard deviation of the training energies. Each (1,) float64"""

    mean: Tensor
    std: Tensor


def uses_atomref(options: Mapping[str, Any]) -> bool:
    """Whether the energies of free atoms are taken off the labels or added by an Atomref prior."""
    if options.get("remove_ref_energy"):
        return True
    given = options.get("prior_model")
    entries: Sequence[Any] = given if isinstance(given, (list, tuple)) else [given]
    return any(name == "Atomref" for entry in entries for name in (entry if isinstance(entry, Mapping) else [entry]))


def fitted_atomref(dataset: Any, frames: NDArray[np.int64], *, max_z: int) -> Tensor:
    """Reference energies that explain the energies of some frames best by composition. (max_z, 1)"""
    z, batch = _compositions(dataset, frames)
    energies = dataset.energies()[torch.from_numpy(frames)]
    return fit_atomref(z, batch, energies, max_z).reshape(max_z, 1)


def energy_statistics(dataset: Any, frames: NDArray[np.int64], *, atomref: Tensor | None) -> Standardization:
    """Mean and deviation of the energies of some frames, less the reference energies of their atoms if given.

    Raises:
        ValueError: there are fewer than two frames, or all have the same energy.
    """
    energies = dataset.energies()[torch.from_numpy(frames)]
    if atomref is not None:
        z, batch = _compositions(dataset, frames)
        energies = energies.index_add(0, batch, -atomref.to(energies).reshape(-1)[z])
    if len(energies) < 2 or not bool(energies.std() > 0):
        raise ValueError(
            f"standardize: the {len(energies)} training energies do not differ and have no deviation to divide by; "
            "use standardize: false"
        )
    return Standardization(energies.mean().reshape(1), energies.std().reshape(1))


def _compositions(dataset: Any, frames: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Atomic numbers of all atoms of some frames, and the position of each atom's frame in ``frames``."""
    z, owners = [], []
    for start in range(0, len(frames), BATCH_FRAMES):
        batch = dataset.get_batch(frames[start : start + BATCH_FRAMES])
        z.append(batch.z)
        owners.append(batch.batch + start)
    return torch.cat(z), torch.cat(owners)
