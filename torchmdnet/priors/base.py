"""What a prior is: physics that is added to what the network learns."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from torchmdnet.graph import System

__all__ = ["BasePrior", "ExtraArgs"]

ExtraArgs = Mapping[str, Any] | None
"""Further fields of a batch, by name, such as ``partial_charges``."""


class BasePrior(nn.Module):
    """A term of the energy with known form.

    A prior of your own overrides :meth:`pre_reduce` or :meth:`post_reduce`, and :meth:`get_init_args`. ``extra_args``
    are further fields of the batch by name, such as ``partial_charges``; ``pbc`` (B, 3) is among them where the axes of
    a box are not all periodic, and the number of systems is that of the rows of ``y``.

    ``dataset`` is the data set that a model is trained on, or None when a model is loaded; it is not kept.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    """Names in ``extra_args``, of one number for each atom, that scripted and exported models hand to the term."""

    def __init__(self, dataset: Any = None) -> None:
        super().__init__()

    def get_init_args(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same prior again, without ``dataset``; plain numbers and lists."""
        return {}

    def reset_parameters(self) -> None:
        """Set the parameters back to where training starts."""

    def pre_reduce(self, x: Tensor, z: Tensor, pos: Tensor, batch: Tensor, extra_args: ExtraArgs = None) -> Tensor:
        """Change the term of each atom. x: (N, K) -> (N, K)"""
        return x

    def post_reduce(
        self,
        y: Tensor,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        box: Tensor | None = None,
        extra_args: ExtraArgs = None,
    ) -> Tensor:
        """Change the value of each system. y: (B, 1), box: (3, 3) or (B, 3, 3) -> (B, 1)"""
        return y

    def atom_energies(self, system: System, extra_args: ExtraArgs = None) -> Tensor | None:
        """Share of each atom in what :meth:`post_reduce` adds; None if that cannot be shared out. (N, 1)"""
        return None
