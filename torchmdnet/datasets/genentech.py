"""Import paths of TorchMD-NET."""

from torchmdnet.datasets.genentech_torsions import GenentechTorsions

__all__ = ["GenentechTorsions"]
