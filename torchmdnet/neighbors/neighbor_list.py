"""The neighbour list of a model: the cutoffs, a default cell, and how the list is made from call to call."""

import math

import torch
from torch import Tensor, nn

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors.default_box import DefaultBox
from torchmdnet.neighbors.graphs import graph_of_pairs, system_pairs
from torchmdnet.neighbors.pairs import NeighborPairs, check_cutoffs, check_status
from torchmdnet.neighbors.verlet import VerletList
from torchmdnet.ops import recording

__all__ = ["NeighborList", "use_skin", "use_static_shapes"]

HEADROOM = 1.25
"""Rows of a list of fixed size for each pair that the first call found."""
SPARE_ROWS = 8
"""Rows for each atom beside those."""


ONE_OF_TWO = "static_shapes makes a list at each call and skin reuses one: choose one of them, with skin = 0 for none"


class NeighborList(DefaultBox):
    r"""Neighbours within a cutoff; systems without a cell get that of the buffer ``box``.

    See :func:`torchmdnet.neighbors.neighbor_graph` for what is listed. There are three ways to make the list, with the
    same neighbours:

    - by default, a search at each call, as many edges as there are;
    - ``static_shapes``: a search at each call, with ``edges_per_atom`` times N edges, those that are left over being
      padding without effect. So shapes depend on the number of atoms alone, nothing is read back from a GPU, and
      ``torch.compile``, ``torch.export`` and CUDA graphs work. ``edges_per_atom`` is found at the first call, with
      head-room, and again at a call that finds more edges. Compiled and captured code cannot do that: there a list that
      does not fit is an error, after the replay of a CUDA graph at :meth:`check`, and its distances, and so the
      energies, are NaN;
    - ``skin``: a :class:`~torchmdnet.neighbors.VerletList`, for molecular dynamics.

    Raises:
        ValueError: cutoffs that are negative, not finite or out of order; a box that is not 3 x 3; a skin together with
            static shapes.
    """

    def __init__(
        self,
        cutoff_lower: float,
        cutoff_upper: float,
        *,
        loop: bool,
        box: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        static_shapes: bool = False,
        skin: float = 0.0,
    ) -> None:
        super().__init__(box, dtype=dtype)
        check_cutoffs(cutoff_lower, cutoff_upper)
        self.cutoff_lower = cutoff_lower
        self.cutoff_upper = cutoff_upper
        self.loop = loop
        self.edges_per_atom: int | None = None
        self._verlet: VerletList | None = None
        self._last_status: Tensor | None = None
        self._last_capacity = 0
        self._static_shapes = False
        self.static_shapes = static_shapes
        self.skin = skin

    @property
    def skin(self) -> float:
        """How much longer than the cutoff the list is that is reused, in Å; 0 for a search at each call."""
        return 0.0 if self._verlet is None else self._verlet.skin

    @skin.setter
    def skin(self, skin: float) -> None:
        if skin and self.static_shapes:
            raise ValueError(ONE_OF_TWO)
        self._verlet = VerletList(self.cutoff_lower, self.cutoff_upper, skin=skin, loop=self.loop) if skin else None

    @property
    def static_shapes(self) -> bool:
        """Whether the number of edges depends on the number of atoms alone."""
        return self._static_shapes

    @static_shapes.setter
    def static_shapes(self, enabled: bool) -> None:
        if enabled and self._verlet is not None:
            raise ValueError(ONE_OF_TWO)
        self._static_shapes = enabled

    def forward(self, system: System) -> Graph:  # type: ignore[override]
        """List the neighbours; ``system.box`` goes before the default."""
        system = super().forward(system)
        if self._verlet is not None:
            return self._graph(self._verlet(system), system)
        if not self.static_shapes:
            return self._graph(self._search(system, None), system)
        return self._graph(self._search_fixed(system), system)

    def _graph(self, pairs: NeighborPairs, system: System) -> Graph:
        return graph_of_pairs(pairs, loop=self.loop, padded=self.static_shapes, has_box=system.box is not None)

    @property
    def status(self) -> Tensor | None:
        """Number of pairs found for the last list of static shapes, and what was wrong, 0 for nothing. (2,) int32

        A tensor that the replay of a CUDA graph writes to; None before the first such list, and for one that was
        compiled.
        """
        return self._last_status

    def check(self) -> None:
        """Raise what was wrong with the last list of static shapes, also after a CUDA graph was replayed.

        Raises:
            RuntimeError: more edges than there was room for, with what to set; anything else that was wrong with the
                input.
        """
        if self._last_status is None:
            return
        try:
            check_status(self._last_status, capacity=self._last_capacity)
        except RuntimeError as error:
            raise RuntimeError(f"{error} ({self._advice()})") from error

    def _search_fixed(self, system: System) -> NeighborPairs:
        """List the neighbours in rows whose number depends on the number of atoms alone."""
        if self.edges_per_atom is None:
            self.edges_per_atom = self._with_headroom(self._count(system), system)
        capacity = max(self.edges_per_atom * system.pos.shape[0], 1)
        if torch.compiler.is_compiling():
            return self._search(system, capacity)
        if recording.is_captured(system.pos):
            return self._remember(self._search(system, capacity))
        try:
            pairs = self._remember(self._search(system, capacity))
            self.check()
        except RuntimeError:
            found = self._count(system)
            if found <= capacity:  # something else was wrong
                raise
            self.edges_per_atom = self._with_headroom(found, system)
            pairs = self._remember(self._search(system, self.edges_per_atom * system.pos.shape[0]))
        return pairs

    def _remember(self, pairs: NeighborPairs) -> NeighborPairs:
        """Keep what :meth:`check` reads."""
        self._last_status, self._last_capacity = pairs.status, pairs.distance.shape[0]
        return pairs

    def _search(self, system: System, capacity: int | None) -> NeighborPairs:
        try:
            return system_pairs(
                system,
                cutoff_lower=self.cutoff_lower,
                cutoff_upper=self.cutoff_upper,
                loop=self.loop,
                capacity=capacity,
            )
        except RuntimeError as error:
            if capacity is None:
                raise
            raise RuntimeError(f"{error} ({self._advice()})") from error

    def _advice(self) -> str:
        return f"edges_per_atom is {self.edges_per_atom}: set it higher, or to None to have it found at the next call"

    @torch.no_grad()
    def _count(self, system: System) -> int:
        """How many edges there are."""
        if torch.compiler.is_compiling():
            raise RuntimeError(
                "a list of static shapes is compiled before its size is known: call the model once before, or set "
                "edges_per_atom"
            )
        return self._search(system, None).distance.shape[0]

    @staticmethod
    def _with_headroom(num_edges: int, system: System) -> int:
        """Edges for each atom that a list of static shapes has room for."""
        return math.ceil(HEADROOM * num_edges / max(system.pos.shape[0], 1)) + SPARE_ROWS

    def extra_repr(self) -> str:
        """Show the cutoffs when printed."""
        text = f"cutoff_lower={self.cutoff_lower}, cutoff_upper={self.cutoff_upper}, loop={self.loop}"
        if self.static_shapes:
            text += f", static_shapes=True, edges_per_atom={self.edges_per_atom}"
        return f"{text}, skin={self.skin}" if self.skin else text


def use_static_shapes(model: nn.Module, *, enabled: bool = True) -> None:
    """Let all neighbour lists of a model have a size that depends on the number of atoms alone.

    For ``torch.compile``, ``torch.export`` and CUDA graphs; see :class:`NeighborList`. Call the model once before.
    """
    for module in model.modules():
        if isinstance(module, NeighborList):
            if enabled:
                module.skin = 0.0
            module.static_shapes = enabled


def use_skin(model: nn.Module, *, skin: float) -> None:
    """Let all neighbour lists of a model be reused until an atom has moved half the skin, in Å; 0 for never.

    For molecular dynamics; see :class:`torchmdnet.neighbors.VerletList`.
    """
    for module in model.modules():
        if isinstance(module, NeighborList):
            module.skin = skin
