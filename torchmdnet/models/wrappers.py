"""Import paths of TorchMD-NET."""

from torchmdnet.models.atom_filter import AtomFilter

__all__ = ["AtomFilter"]
