"""The emulated kernels called like the ops, with NumPy arrays in place of tensors."""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from image_sums import Edges, sort_edges

from torchmdnet.graph import System

SOURCES = Path(__file__).parents[2] / "cpp_src"

SCHEDULES = {"in one block": (10**6, 10**6), "sorted in one block": (0, 10**6), "at large": (0, 0)}
"""Numbers of atoms up to which the launches of few blocks are chosen: each way is taken whatever the size."""

LAUNCHES = {"in one block": 2, "sorted in one block": 3, "at large": 13}


class EmulatedFirst:
    """The ops of a namespace, in their place the emulated ones where there are: for functions that call ops."""

    def __init__(self) -> None:
        self._own, self._others = torch.ops.torchmdnet_emulated, torch.ops.torchmdnet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own if hasattr(self._own, name) else self._others, name)


class Scheduled:
    """The emulated kernels, and up to how many atoms one block does the work of several launches."""

    def __init__(self, kernels: ModuleType, few: int) -> None:
        self._kernels = kernels
        self.few = few

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)


class Pairs(NamedTuple):
    """What the op returns, and what it took."""

    vector: np.ndarray
    distance: np.ndarray
    receiver: np.ndarray
    sender: np.ndarray
    shift: np.ndarray
    row_ptr: np.ndarray
    status: np.ndarray
    num_launches: int


def boxes_of(system: System) -> np.ndarray:
    """The cells in the dtype of the positions. (B, 3, 3) or (0, 3, 3)"""
    dtype = system.pos.numpy().dtype
    if system.box is None:
        return np.zeros((0, 3, 3), dtype)
    return np.array(np.broadcast_to(system.box.numpy(), (system.num_systems, 3, 3)), dtype)


def neighbor_pairs(
    kernels: ModuleType,
    system: System,
    upper: float = 3.0,
    *,
    lower: float = 0.0,
    loop: bool = False,
    half: bool = False,
    capacity: int = -1,
    schedule: str = "in one block",
    seed: int = 0,
    poison: int = 0xFF,
) -> Pairs:
    """List the pairs of a system.

    Args:
        schedule: Which launches.
        seed: Order in which blocks and threads run; 0 is ascending.
        poison: What memory holds before it is written.
    """
    num = system.num_systems
    pbc = np.zeros((0, 3), bool)
    if system.pbc is not None:
        pbc = np.array(np.broadcast_to(system.pbc.numpy(), (num, 3)))
    pos = system.pos.numpy()
    plan = kernels.Schedule(*SCHEDULES[schedule], 64, 96)
    module = getattr(kernels, str(pos.dtype))
    options: tuple[Any, ...] = (num, lower, upper, loop, half, capacity, plan, seed, poison)
    return Pairs(*module.neighbor_pairs(pos, system.batch.numpy(), boxes_of(system), pbc, *options))


def edges_of(pairs: Pairs) -> Edges:
    """Its edges, without the padding, in the order of the reference."""
    num = int(pairs.row_ptr[-1])
    shift = pairs.shift if len(pairs.shift) else np.zeros((len(pairs.receiver), 3), np.int32)
    key = np.column_stack([pairs.receiver, pairs.sender, shift]).astype(np.int64)
    return sort_edges(Edges(key[:num], pairs.vector[:num].astype(float), pairs.distance[:num].astype(float)))
