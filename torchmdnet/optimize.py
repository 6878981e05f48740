"""Make a trained model ready for fast inference, under the name that TorchMD-NET has for it."""

import warnings
from typing import TypeVar

from torch import nn

from torchmdnet.models.radial_tables import use_radial_tables, use_radial_tables_if_exact
from torchmdnet.nn.representation import Representation
from torchmdnet.potential import Ensemble, TorchMD_Net

__all__ = ["optimize"]

Model = TypeVar("Model", bound=nn.Module)


def optimize(model: Model, tolerance: float | None = None) -> Model:
    """The same model in evaluation mode, its weights not subject to training, its radial networks read from tables.

    Energies and forces differ from the exact ones by about the tolerance; forces stay the exact derivative of the
    energy. A model whose radial networks cannot be tabulated is evaluated exactly. ``model.train()`` and
    ``model.requires_grad_()`` undo it. Give the model its final type before; it moves between devices as ever.

    Args:
        model: A potential of any architecture, an ensemble, or a representation; changed in place.
        tolerance: Largest error of the tables, as in :func:`torchmdnet.models.use_radial_tables`; None: 1e-6, and where
            no table keeps that, the exact networks with a warning.

    Returns:
        ``model``.

    Raises:
        TypeError: It is none of these, such as a scripted or compiled module.
        ValueError: No table keeps the tolerance that is given.
    """
    if not isinstance(model, TorchMD_Net | Ensemble | Representation):
        raise TypeError(
            f"optimize: got a {type(model).__name__}, expected a model of torchmdnet (TorchMD_Net, Ensemble or a "
            "representation), before it is scripted or compiled"
        )
    model.eval().requires_grad_(False)
    if tolerance is not None:
        use_radial_tables(model, tolerance=tolerance)
    elif reason := use_radial_tables_if_exact(model):
        warnings.warn(f"optimize: the radial networks stay exact, as {reason}", stacklevel=2)
    return model
