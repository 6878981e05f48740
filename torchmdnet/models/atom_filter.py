"""Leave out light atoms after the representation."""

import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.nn.representation import AtomFeatures, Representation

__all__ = ["AtomFilter"]


class AtomFilter(Representation):
    """Wraps a model: every atom takes part in it, those with z at or below a threshold leave no features behind.

    Args:
        model: The wrapped representation.
        remove_threshold: Atoms with z <= this are dropped.

    Raises:
        ValueError: In a call, when a system would keep no atom.
    """

    def __init__(self, model: Representation, remove_threshold: int) -> None:
        super().__init__()
        self.model = model
        self.remove_threshold = remove_threshold
        self.max_z = model.max_z

    @property
    def is_equivariant(self) -> bool:  # type: ignore[override]
        return self.model.is_equivariant

    @property
    def uses_charge(self) -> bool:  # type: ignore[override]
        return self.model.uses_charge

    @property
    def predicts_charges(self) -> bool:  # type: ignore[override]
        return self.model.predicts_charges

    @property
    def uses_spin(self) -> bool:  # type: ignore[override]
        return self.model.uses_spin

    @property
    def gives_energies(self) -> bool:  # type: ignore[override]
        return self.model.gives_energies

    def reset_parameters(self) -> None:
        """As the wrapped model does."""
        self.model.reset_parameters()

    def default_box(self) -> Tensor | None:
        return self.model.default_box()

    def returned_features(self, features: AtomFeatures) -> Tensor:
        return self.model.returned_features(features)

    def represent(self, system: System, *, second_derivatives: bool = True) -> AtomFeatures:
        x, v, system, *others = self.model.represent(system, second_derivatives=second_derivatives)
        keep = system.z > self.remove_threshold
        kept = torch.zeros(system.num_systems, dtype=torch.long, device=keep.device)
        kept.index_add_(0, system.batch, keep.long())
        present = torch.zeros_like(kept).index_fill_(0, system.batch, 1)
        empty = ((kept == 0) & (present == 1)).nonzero()
        if len(empty):
            raise ValueError(
                f"atom_filter {self.remove_threshold} leaves no atom in system {int(empty[0])}: "
                "every system needs an atom with a larger atomic number"
            )
        filtered = system._replace(z=system.z[keep], pos=system.pos[keep], batch=system.batch[keep])
        v, charges, energies = (None if rows is None else rows[keep] for rows in (v, *others))
        return AtomFeatures(x[keep], v, filtered, charges, energies)
