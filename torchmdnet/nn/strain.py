r"""What energies are differentiated by: positions and the strain of space.

Under a small symmetric strain :math:`\epsilon` every vector r, of an atom or of a cell, becomes
:math:`r (1 + \epsilon)`.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.ops import recording

__all__ = ["cells", "strained", "with_leaf_positions"]


def with_leaf_positions(system: System) -> System:
    """The same system with positions that track gradients; the caller's tensors stay as they are.

    Positions that track gradients already stay in the caller's graph.
    """
    if not torch.compiler.is_compiling():
        # Tensors made under torch.inference_mode cannot enter a graph, their copies can.
        copies: dict[str, Any] = {
            name: value.clone()
            for name, value in system._asdict().items()
            if isinstance(value, Tensor) and value.is_inference()
        }
        system = system._replace(**copies)
    if system.pos.requires_grad:
        return system._replace(pos=system.pos.view_as(system.pos))
    return system._replace(pos=system.pos.detach().requires_grad_())


def cells(system: System) -> Tensor:
    """Cells of a system that has them. -> (B, 3, 3)

    Raises ValueError when there are none, or one has no volume.
    """
    if system.box is None:
        raise ValueError("stress needs a box: pass box=..., rows a, b, c in Å")
    if not recording.is_recorded(system.box):
        is_flat = torch.linalg.det(system.box.detach()) == 0
        if bool(is_flat.any()):
            raise ValueError(
                f"stress needs a cell with a volume; the box of system {int(is_flat.nonzero()[0])} has none"
            )
    return system.box


def strained(system: System, strain: Tensor) -> System:
    """Positions and cells under the symmetric part of a strain. strain: (B, 3, 3)"""
    symmetric = 0.5 * (strain + strain.transpose(1, 2))
    moved = torch.bmm(system.pos.unsqueeze(1), symmetric.index_select(0, system.batch)).squeeze(1)
    box = cells(system)
    return system._replace(pos=system.pos + moved, box=box + torch.bmm(box, symmetric))
