"""Energies of a potential by compiled code.

What a call checks and what it differentiates stays as it is; in between, from the atoms to the energy, and back from
the energy to its slopes, runs what ``torch.compile`` made.
"""

from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.neighbors import NeighborList, use_static_shapes
from torchmdnet.potential.torchmd_net import TorchMD_Net

__all__ = ["compile_evaluation", "forget_compilation"]

_EVALUATION = "_evaluate"


def compile_evaluation(model: TorchMD_Net) -> None:
    """Have the next call compile the model for its atoms, and the calls after it run what was compiled.

    A call before must have found the size of static neighbour lists: see :func:`forget_compilation`. Another number of
    atoms is compiled for anew.
    """

    def evaluate(system: System, extra_args: Any, *, second_derivatives: bool = True) -> tuple[Tensor, Tensor]:
        return TorchMD_Net._evaluate(model, system, extra_args, second_derivatives=second_derivatives)

    # PyTorch counts compilations by code object, and refuses after a few: each of ours has an object of its own.
    code = evaluate.__code__.replace()
    fresh = FunctionType(code, evaluate.__globals__, evaluate.__name__, None, evaluate.__closure__)
    fresh.__kwdefaults__ = evaluate.__kwdefaults__
    model.__dict__[_EVALUATION] = torch.compile(fresh, fullgraph=True, dynamic=False, mode="reduce-overhead")


def forget_compilation(model: TorchMD_Net, *, static_shapes: bool) -> None:
    """Have the next call run uncompiled; with ``static_shapes``, let it find the size of the neighbour lists anew."""
    model.__dict__.pop(_EVALUATION, None)
    if not static_shapes:
        return
    use_static_shapes(model)
    for module in model.modules():
        if isinstance(module, NeighborList):
            module.edges_per_atom = None
