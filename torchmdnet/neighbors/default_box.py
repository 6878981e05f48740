"""A cell for systems that bring none."""

from typing import Any

import torch
from torch import Tensor, nn

from torchmdnet.graph import System

__all__ = ["DefaultBox"]


class DefaultBox(nn.Module):
    """A cell for systems that bring none.

    The buffer ``box`` (3, 3), rows a, b, c, is part of the state; all zeros mean no cell.

    Raises:
        ValueError: a box that is not 3 x 3.
    """

    box: Tensor

    def __init__(self, box: Tensor | None = None, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        box = torch.zeros((3, 3)) if box is None else torch.as_tensor(box)
        if box.shape != (3, 3):
            raise ValueError(f"the default box must be a 3 x 3 matrix with rows a, b, c, not {tuple(box.shape)}")
        self.register_buffer("box", box.to(dtype))
        self._has_box = box.device.type != "meta" and bool(box.any())

    def forward(self, system: System) -> System:
        """Give the system the cell if it has none."""
        if system.box is None and self.has_box():
            return system._replace(box=self.box)
        return system

    def has_box(self) -> bool:
        """Whether the default is a cell at all.

        Read from the buffer where that is free: on a GPU it would wait, and a compiled graph cannot branch on it.
        """
        if self.box.device.type == "cpu" and not torch.compiler.is_compiling():
            self._has_box = bool(self.box.any())
        return self._has_box

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.box.device.type != "meta":
            self._has_box = bool(self.box.any())
