"""Stress from the virial."""

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.validation import DatasetError

__all__ = ["stress_from_virial"]


def stress_from_virial(
    virial: NDArray[np.float64], box: NDArray[np.float64] | None, *, where: str
) -> NDArray[np.float64]:
    r"""Stress $\sigma = -W / V$ with the volume V of each cell.

    Shapes: virial (n, 3, 3) eV, box (n, 3, 3) Å -> (n, 3, 3) eV/Å³.

    Raises:
        DatasetError: there is no cell.
    """
    if box is None:
        raise DatasetError(f"{where}: a virial without a cell: the stress is the virial divided by the volume")
    volume = np.abs(np.linalg.det(box))
    # A cell without volume is told by the checks of the frames
    with np.errstate(divide="ignore", invalid="ignore"):
        stress: NDArray[np.float64] = -virial / volume[:, None, None]
    return stress
