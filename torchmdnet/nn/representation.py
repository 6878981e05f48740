"""What every representation model is: atoms in, features of each atom out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from torchmdnet.graph import System

__all__ = ["AtomFeatures", "Representation"]


class AtomFeatures(NamedTuple):
    """Features of the atoms of ``system``, which are those of the input unless the model drops some."""

    x: Tensor
    """Invariant features. (N, C)"""
    v: Tensor | None
    """Vector features of an equivariant model. (N, 3, C)"""
    system: System
    """The atoms that the rows belong to."""
    charges: Tensor | None = None
    """Charges, in e, of a model that predicts them: K of each layer. (N, L, K)"""
    energies: Tensor | None = None
    """Energy of each atom, in eV, of a model that knows some as physics; a term beside the head's. (N, 1)"""


class Representation(nn.Module, ABC):
    """Base of the representation models: a subclass defines :meth:`represent`; its neighbour list is ``distance``."""

    is_equivariant: ClassVar[bool] = False
    """Whether the model gives vector features; its heads are then the equivariant ones."""
    uses_charge: ClassVar[bool] = False
    """Whether the result depends on the total charge q."""
    uses_spin: ClassVar[bool] = False
    """Whether the result depends on the spin s."""
    predicts_charges: ClassVar[bool] = False
    """Whether the features come with a charge of each atom, which heads may read."""
    gives_energies: ClassVar[bool] = False
    """Whether the features come with an energy of each atom, which makes sense with heads of energies alone."""
    conditions: ClassVar[Mapping[str, str]] = {}
    """What has to be said after the name of the model where one of these depends on its options, by their names."""
    max_z: int
    """Atomic numbers below this one have an embedding."""

    @abstractmethod
    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        """Features of every atom.

        Without ``second_derivatives`` the caller promises to differentiate at most once with respect to positions and
        cells: then what depends on distances alone takes a cheaper path. Weights may be trained on forces either way.
        """

    @abstractmethod
    def reset_parameters(self) -> None:
        """Initialise the weights anew."""

    def default_box(self) -> Tensor | None:
        """Cell of a system that brings none, rows a, b, c; None where there is none. (3, 3)"""
        default: Any = self.get_submodule("distance")
        return default.box if default.has_box() else None

    def returned_features(self, features: AtomFeatures) -> Tensor:
        """What a call of the model itself, without a head, returns for each atom. (N, C)"""
        return features.x

    def setup_for_inference(self, z: Tensor, batch: Tensor) -> None:
        """Has no effect, and is not needed: what depends on elements alone is computed once an atom in every call.

        Scripts of TorchMD-NET call it before they compile a model for one composition; here any composition can follow.
        z, batch: (N,)
        """

    def forward(
        self,
        z: Tensor,
        pos: Tensor,
        batch: Tensor,
        box: Tensor | None = None,
        q: Tensor | None = None,
        s: Tensor | None = None,
        pbc: Tensor | None = None,
        num_systems: int | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
        """Features from separate tensors.

        Shapes: z, batch: (N,), pos: (N, 3), box: (B, 3, 3) or (3, 3), q, s: (B,), pbc: (B, 3)
            -> x (N, C), v (N, 3, C) or None, z, pos, batch.
        """
        if num_systems is None:
            num_systems = int(batch.max()) + 1 if len(batch) else 0
        if box is not None:
            box = box.expand(num_systems, 3, 3)
        system = System(z=z, pos=pos, batch=batch, num_systems=num_systems, box=box, pbc=pbc, q=q, s=s)
        features = self.represent(system)
        kept = features.system
        return self.returned_features(features), features.v, kept.z, kept.pos, kept.batch
