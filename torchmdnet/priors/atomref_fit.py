"""Fit the energy of each element to the energies of molecules."""

import torch
from torch import Tensor

__all__ = ["fit_atomref"]


def fit_atomref(z: Tensor, batch: Tensor, energies: Tensor, max_z: int) -> Tensor:
    r"""Fit one energy an element, so that their sums are as near to the energies of the systems as can be.

    With :math:`n_{bk}` atoms of element k in system b, minimises :math:`\sum_b (E_b - \sum_k n_{bk} T_k)^2`. Often the
    data leave some of T open (all systems of one composition; C and H always in the ratio of alkanes). Of all minima
    the one is taken whose energies are nearest to the mean energy an atom: :math:`T_k = m + t_k` with
    :math:`m = \sum_b E_b / N` and t the least-norm solution for :math:`E_b - m\,n_b`. So elements that cannot be told
    apart share the energy evenly, instead of one atom for another carrying arbitrary amounts.

    Shapes: z: (N,), batch: (N,) any order, energies: (B,) or (B, 1) in any unit -> (max_z, 1) float64 in that unit;
    elements that do not occur get 0.

    Raises:
        ValueError: no system, sizes that do not go together, NaN or infinite energies, z out of range.
    """
    energies = energies.detach().to("cpu", torch.float64).reshape(-1)
    z, batch = z.detach().cpu(), batch.detach().cpu()
    _check(z, batch, energies, max_z)
    elements, column = torch.unique(z, return_inverse=True)
    num_systems, num_elements = energies.shape[0], elements.shape[0]
    count = torch.bincount(batch * num_elements + column, minlength=num_systems * num_elements)
    count = count.view(num_systems, num_elements).to(torch.float64)
    mean = energies.sum() / z.shape[0]
    excess = energies - mean * count.sum(1)
    deviation = torch.linalg.lstsq(count, excess.unsqueeze(1), driver="gelsd").solution
    table = torch.zeros((max_z, 1), dtype=torch.float64)
    table[elements] = mean + deviation
    return table


def _check(z: Tensor, batch: Tensor, energies: Tensor, max_z: int) -> None:
    """Refuse what cannot be fitted."""
    if z.shape != batch.shape or z.ndim != 1 or z.shape[0] == 0:
        raise ValueError(f"want z (N,) and batch (N,) with N > 0, not {tuple(z.shape)} and {tuple(batch.shape)}")
    if not 0 <= int(batch.min()) <= int(batch.max()) < energies.shape[0]:
        raise ValueError(
            f"batch holds system numbers {int(batch.min())} to {int(batch.max())} for {energies.shape[0]} energies"
        )
    if not 0 <= int(z.min()) <= int(z.max()) < max_z:
        raise ValueError(
            f"atomic numbers must be from 0 to {max_z - 1} (max_z {max_z}), not {int(z.min())} to {int(z.max())}"
        )
    if not bool(torch.isfinite(energies).all()):
        system = int((~torch.isfinite(energies)).nonzero()[0])
        raise ValueError(f"the energy of system {system} is NaN or infinite: leave it out of the fit")
