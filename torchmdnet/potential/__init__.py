"""From a representation, a head and priors to energy, forces and stress; several potentials as one."""

from torchmdnet.potential.ensemble import Ensemble
from torchmdnet.potential.exporting import export_potential
from torchmdnet.potential.prediction import Prediction
from torchmdnet.potential.torchmd_net import TorchMD_Net

__all__ = ["Ensemble", "Prediction", "TorchMD_Net", "export_potential"]
