"""TorchMD-NET's neighbour list, with its arguments and results."""

import torch
from torch import Tensor

from torchmdnet.neighbors.default_box import DefaultBox
from torchmdnet.neighbors.pairs import NeighborPairs, check_cutoffs, check_status, neighbor_pairs
from torchmdnet.ops import recording
from torchmdnet.ops.neighbor_pairs import FAULTS, OVERFLOW

__all__ = ["OptimizedDistance"]

STRATEGIES = ("brute", "shared", "cell")
TOO_MANY = (FAULTS[OVERFLOW], "more than the capacity")
"""What the search says where it finds more pairs than there is room for, on a GPU and on a CPU."""


class OptimizedDistance(DefaultBox):
    """Edges, distances and vectors of all pairs within a cutoff, as TorchMD-NET's class of this name gives them.

    Its rules for boxes are gone: any invertible cell serves, see :func:`torchmdnet.neighbors.neighbor_pairs`, which is
    the function to use in new code.

    Args:
        cutoff_lower: Pairs nearer than this are left out.
        cutoff_upper: Pairs this far or further are left out.
        max_num_pairs: Number of edges that there is room for; if negative, for each atom. It matters only where
            ``resize_to_fit`` is False.
        return_vecs: Whether to return the vectors, too.
        loop: Whether to list each atom with itself.
        strategy: ``brute``, ``shared`` or ``cell``, all the same: what is fastest is found out.
        include_transpose: Whether to list each pair from both ends; if not, the higher atom comes first.
        resize_to_fit: Whether the result has as many edges as there are; if not, it has ``max_num_pairs``, the rest
            being edges between atoms -1 at zero distance.
        box: Cell for calls that bring none. (3, 3)
        long_edge_index: Whether atoms are numbered by int64, and not by int32.

    Raises:
        ValueError: an unknown strategy, cutoffs out of order, a box that is not 3 x 3.
    """

    def __init__(
        self,
        cutoff_lower: float = 0.0,
        cutoff_upper: float = 5.0,
        max_num_pairs: int = -32,
        return_vecs: bool = False,
        loop: bool = False,
        strategy: str = "brute",
        include_transpose: bool = True,
        resize_to_fit: bool = True,
        box: Tensor | None = None,
        long_edge_index: bool = True,
    ) -> None:
        super().__init__(box)
        check_cutoffs(cutoff_lower, cutoff_upper)
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy {strategy!r} is not known; choose one of {', '.join(STRATEGIES)}")
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.max_num_pairs = max_num_pairs
        self.return_vecs = return_vecs
        self.loop = loop
        self.strategy = strategy
        self.include_transpose = include_transpose
        self.resize_to_fit = resize_to_fit
        self.long_edge_index = long_edge_index

    def forward(  # type: ignore[override]
        self, pos: Tensor, batch: Tensor | None = None, box: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """List the pairs.

        Shapes: pos: (N, 3), batch: (N,), box: (3, 3) or (B, 3, 3) -> edge_index (2, E), distance (E,), and vectors
        ``pos[edge_index[0]] - pos[edge_index[1]]`` (E, 3) or None.

        Raises:
            ValueError, TypeError: as :func:`torchmdnet.neighbors.neighbor_pairs`.
            RuntimeError: more edges than ``max_num_pairs`` with ``resize_to_fit`` False. In a CUDA graph and in code
                compiled for a GPU all distances are NaN instead.
        """
        if box is None and self.has_box():
            box = self.box
        capacity = None
        if not self.resize_to_fit:
            capacity = self.max_num_pairs if self.max_num_pairs >= 0 else -self.max_num_pairs * pos.shape[0]
        try:
            pairs = neighbor_pairs(
                pos,
                batch,
                cutoff_upper=self.cutoff_upper,
                cutoff_lower=self.cutoff_lower,
                box=box,
                loop=self.loop,
                half=not self.include_transpose,
                capacity=capacity,
            )
            if capacity is not None and not recording.is_recorded(pos):
                check_status(pairs.status, capacity=capacity)  # a GPU does not raise
        except RuntimeError as error:
            if capacity is None or not any(text in str(error) for text in TOO_MANY):
                raise
            raise RuntimeError(
                f"Found num_pairs > max_num_pairs, please increase max_num_pairs (now {self.max_num_pairs}): {error}"
            ) from error
        return self._result(pairs)

    def extra_repr(self) -> str:
        """Show the arguments when printed."""
        names = ("cutoff_lower", "cutoff_upper", "max_num_pairs", "loop", "include_transpose", "resize_to_fit")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)

    def _result(self, pairs: NeighborPairs) -> tuple[Tensor, Tensor, Tensor | None]:
        """Bring a list into TorchMD-NET's form."""
        vector, distance, edges = pairs.vector, pairs.distance, torch.stack([pairs.receiver, pairs.sender])
        if not self.include_transpose:
            swap = edges[0] < edges[1]
            edges = torch.where(swap, edges.flip(0), edges)
            vector = torch.where(swap.unsqueeze(1), -vector, vector)
        if not self.resize_to_fit:
            padding = torch.arange(distance.shape[0], device=distance.device) >= pairs.row_ptr[-1]
            edges = torch.where(padding, -1, edges)
            vector = torch.where(padding.unsqueeze(1), 0.0, vector)
            distance = torch.where(padding, 0.0, distance)
        edges = edges.to(torch.int64) if self.long_edge_index else edges
        return edges, distance, vector if self.return_vecs else None
