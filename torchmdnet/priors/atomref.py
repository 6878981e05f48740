"""Reference energy of each element."""

from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.ops import recording
from torchmdnet.priors.base import BasePrior, ExtraArgs

__all__ = ["Atomref"]

DEFAULT_MAX_Z = 100


class Atomref(BasePrior):
    r"""Adds the energy of free atoms: :math:`x_i + T_{z_i}`.

    The table T comes from ``dataset.get_atomref()``, a (Z, 1) tensor or None; where there is none it is zero, until
    :meth:`set_reference` is given one, such as that of :func:`~torchmdnet.priors.atomref_fit.fit_atomref`.

    Args:
        max_z: length of the table; by default that of the data set's, or 100. A longer table of the data set is cut,
            a shorter one filled up with zeros.
        dataset: where the table comes from.
        trainable: whether training changes the table.
        enable: whether the energies are added at all; with False the table only travels with the model.
    """

    initial_atomref: Tensor

    def __init__(
        self,
        max_z: int | None = None,
        dataset: Any = None,
        trainable: bool = False,
        enable: bool = True,
    ) -> None:
        super().__init__(dataset=dataset)
        get_atomref = getattr(dataset, "get_atomref", None)
        table = None if get_atomref is None else get_atomref()
        if max_z is None:
            max_z = DEFAULT_MAX_Z if table is None else len(table)
        if max_z < 1:
            raise ValueError(f"Atomref: 'max_z' must be at least 1, not {max_z}")
        self.trainable = trainable
        self.enable = enable
        self.register_buffer("initial_atomref", torch.zeros((max_z, 1)))
        self.atomref = nn.Embedding(max_z, 1)
        self.atomref.weight.requires_grad_(trainable)
        if table is not None:
            self.set_reference(table)
        self.reset_parameters()

    def set_reference(self, table: Tensor) -> None:
        """Take the energies of a table, (Z,) or (Z, 1); elements beyond it get zero. Training starts from there.

        Raises:
            ValueError: a table of another shape, or with NaN or infinite energies.
        """
        table = torch.as_tensor(table)
        if table.ndim not in (1, 2) or table.shape[0] == 0 or table.numel() != table.shape[0]:
            raise ValueError(f"reference energies must have shape (Z, 1), not {tuple(table.shape)}")
        if not bool(torch.isfinite(table).all()):
            z = int((~torch.isfinite(table)).nonzero()[0, 0])
            raise ValueError(f"the reference energy of atomic number {z} is NaN or infinite")
        length = min(len(table), len(self.initial_atomref))
        self.initial_atomref.zero_()
        self.initial_atomref[:length] = table.reshape(-1, 1)[:length].to(self.initial_atomref)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the table back to where training started."""
        with torch.no_grad():
            self.atomref.weight.copy_(self.initial_atomref)

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again; the table itself is part of the state."""
        return {"max_z": self.initial_atomref.shape[0], "trainable": self.trainable, "enable": self.enable}

    def pre_reduce(self, x: Tensor, z: Tensor, pos: Tensor, batch: Tensor, extra_args: ExtraArgs = None) -> Tensor:
        """Add the energy of each atom. x: (N, 1) -> (N, 1)"""
        if not self.enable:
            return x
        length = self.atomref.num_embeddings
        if z.numel() and not recording.is_recorded(z) and int(z.max()) >= length:
            raise ValueError(f"Atomref has no energy for atomic number {int(z.max())}: its 'max_z' is {length}")
        return x + self.atomref(z)
