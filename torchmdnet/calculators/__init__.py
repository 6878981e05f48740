"""Bridges from a trained model to molecular dynamics programs."""

from torchmdnet.calculators.ase import TMDNETCalculator
from torchmdnet.calculators.external import External, tranforms

__all__ = ["External", "TMDNETCalculator", "tranforms"]
