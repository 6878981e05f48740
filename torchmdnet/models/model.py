"""Import paths of TorchMD-NET."""

from torchmdnet.checkpoint import load_ensemble, load_model
from torchmdnet.factory import create_model, create_prior_models
from torchmdnet.potential import Ensemble, TorchMD_Net

__all__ = ["Ensemble", "TorchMD_Net", "create_model", "create_prior_models", "load_ensemble", "load_model"]
