"""Energies and forces of replicas of one system, the interface that TorchMD calls."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchmdnet.calculators.cuda_recorder import cuda_recorder
from torchmdnet.calculators.graph_replay import GraphReplay
from torchmdnet.calculators.opening import ModelSource, open_model, parse_device
from torchmdnet.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, KCAL_PER_MOL_IN_EV

__all__ = ["External", "OutputTransform", "tranforms"]

OutputTransform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(energies (R, 1), forces (R, n, 3)) in the model's units -> the same in the caller's."""

_HARTREE_IN_KCAL_PER_MOL = HARTREE_IN_EV / KCAL_PER_MOL_IN_EV


def _scaled(energy_factor: float, force_factor: float) -> OutputTransform:
    def transform(energy: Tensor, forces: Tensor) -> tuple[Tensor, Tensor]:
        return energy * energy_factor, forces * force_factor

    return transform


tranforms: dict[str, OutputTransform] = {
    "eV/A -> kcal/mol/A": _scaled(1.0 / KCAL_PER_MOL_IN_EV, 1.0 / KCAL_PER_MOL_IN_EV),
    "Hartree/Bohr -> kcal/mol/A": _scaled(_HARTREE_IN_KCAL_PER_MOL, _HARTREE_IN_KCAL_PER_MOL / BOHR_IN_ANGSTROM),
    "Hartree/A -> kcal/mol/A": _scaled(_HARTREE_IN_KCAL_PER_MOL, _HARTREE_IN_KCAL_PER_MOL),
}
"""Named conversions of forces (the energies' unit follows). The name is spelled as in TorchMD-NET."""


class External:
    """A model that serves replicas of one system, for TorchMD.

    In TorchMD's configuration: ``external: {module: torchmdnet.calculators, file: model.ckpt, embeddings: [...]}``.
    The arguments may be positional, as TorchMD passes them.

    Args:
        netfile: Checkpoint, list of checkpoints (an ensemble) or a model, which is copied.
        embeddings: Atomic numbers of R replicas of n atoms. (R, n) int64
        device: Where it runs.
        output_transform: A name in :data:`tranforms`, a callable (energies, forces) -> (energies, forces), or None to
            leave the model's units. Text is not evaluated as Python.
        use_cuda_graph: Whether the model is captured in a CUDA graph at the first call and replayed at the others, with
            the same numbers. For many steps of few atoms on a GPU. The graph reads weights as they were then.
        cuda_graph_warmup_steps: Calls, with the positions of the first one, before it is captured.
        dtype: Of the model and of the results; None: float32 for files, a given model's own.
        **kwargs: Options that replace those in the file; ``radial_tables`` and ``skin`` as in :func:`open_model`.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: ``embeddings`` is not (R, n) integers, there is no such device, the transform's name is unknown, or
            CUDA graphs are asked for without a CUDA device, without the native ops for it, or together with a skin.
        TypeError: ``output_transform`` is neither a name nor callable.
    """

    def __init__(
        self,
        netfile: ModelSource,
        embeddings: Tensor | Sequence[Sequence[int]],
        device: str | torch.device = "cpu",
        output_transform: str | OutputTransform | None = None,
        use_cuda_graph: bool = False,
        cuda_graph_warmup_steps: int = 12,
        dtype: torch.dtype | str | None = None,
        **kwargs: Any,
    ) -> None:
        self.device = parse_device(device)
        if use_cuda_graph and kwargs.get("skin"):
            raise ValueError(
                f"skin: got {kwargs['skin']} with use_cuda_graph=True; a graph searches at each step: leave out one"
            )
        numbers = _atomic_numbers(embeddings).to(self.device)
        self._recorder = cuda_recorder(numbers.device) if use_cuda_graph else None
        self._warmup_steps = cuda_graph_warmup_steps
        self.output_transform = _find_transform(output_transform)
        self.model = open_model(netfile, device=device, dtype=dtype, **kwargs)
        self._dtype = next(parameter.dtype for parameter in self.model.parameters() if parameter.is_floating_point())
        self.embeddings = numbers

    @property
    def embeddings(self) -> Tensor:
        """Atomic numbers (R, n); others, also of other atoms or replicas, hold from the next call on, recorded anew."""
        return self._embeddings

    @embeddings.setter
    def embeddings(self, embeddings: Tensor | Sequence[Sequence[int]]) -> None:
        """Take other atoms. Raises ValueError for what are no numbers of atoms, (R, n), and keeps the old ones."""
        self._embeddings = _atomic_numbers(embeddings).to(self.device)
        self.num_replicas, self.num_atoms = self._embeddings.shape
        self._z = self._embeddings.reshape(-1)
        self._batch = torch.arange(self.num_replicas, device=self.device).repeat_interleave(self.num_atoms)
        self._graph: GraphReplay | None = None
        if self._recorder is not None:
            self._graph = GraphReplay(
                self.model,
                self._z,
                batch=self._batch,
                num_systems=self.num_replicas,
                recorder=self._recorder,
                warmup_steps=self._warmup_steps,
            )

    def calculate(self, pos: Tensor | np.ndarray, box: Tensor | np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """Energies and forces of all replicas.

        Args:
            pos: Positions; any shape with 3 R n entries. (R, n, 3)
            box: Cell vectors a, b, c as rows, one cell for all replicas or one each; zeros mean no cell.
                (3, 3), (1, 3, 3) or (R, 3, 3)

        Returns:
            Energies (R, 1) and forces (R, n, 3), detached, after ``output_transform``.

        Raises:
            ValueError: The number of coordinates or the shape of the box is wrong, or what the model refuses.
            RuntimeError: The model cannot be captured in a CUDA graph, and was to be.
        """
        pos, box = self._positions(pos), None if box is None else self._boxes(box)
        if self._graph is None:
            prediction = self.model.compute(self._z, pos, self._batch, box=box, num_systems=self.num_replicas)
        else:
            prediction = self._graph(pos, box)
        if prediction.forces is None:
            raise RuntimeError("the model gave no forces")
        energy = prediction.energy.detach()
        forces = prediction.forces.detach().reshape(self.num_replicas, self.num_atoms, 3)
        return (energy, forces) if self.output_transform is None else self.output_transform(energy, forces)

    def _positions(self, pos: Tensor | np.ndarray) -> Tensor:
        pos = torch.as_tensor(pos)
        if pos.numel() != 3 * self._z.numel():
            raise ValueError(
                f"pos: got shape {tuple(pos.shape)}, expected ({self.num_replicas}, {self.num_atoms}, 3) "
                "as embeddings says"
            )
        return pos.detach().to(self.device, self._dtype).reshape(-1, 3)

    def _boxes(self, box: Tensor | np.ndarray) -> Tensor:
        box = torch.as_tensor(box)
        if box.shape[-2:] != (3, 3) or box.ndim not in {2, 3} or box.numel() not in {9, 9 * self.num_replicas}:
            raise ValueError(
                f"box: got shape {tuple(box.shape)}, expected (3, 3) or ({self.num_replicas}, 3, 3), rows a, b, c"
            )
        return box.detach().to(self.device, self._dtype).expand(self.num_replicas, 3, 3)


def _atomic_numbers(embeddings: Tensor | Sequence[Sequence[int]]) -> Tensor:
    """Checked. (R, n) int64"""
    numbers = torch.as_tensor(embeddings)
    if numbers.numel() and numbers.is_floating_point():
        raise ValueError(f"embeddings: got {numbers.dtype}, expected integers, the atomic numbers")
    if numbers.ndim != 2 or numbers.numel() == 0:
        raise ValueError(
            f"embeddings: got shape {tuple(numbers.shape)}, expected (replicas, atoms) with at least one "
            "of each; for a single system write [numbers]"
        )
    return numbers.to(torch.int64)


def _find_transform(transform: str | OutputTransform | None) -> OutputTransform | None:
    if isinstance(transform, str):
        if transform not in tranforms:
            known = ", ".join(f"'{name}'" for name in tranforms)
            raise ValueError(
                f"output_transform: got '{transform}', expected one of {known}; text is not evaluated as Python, so "
                "pass a callable (energy, forces) -> (energy, forces) instead"
            )
        return tranforms[transform]
    if transform is not None and not callable(transform):
        raise TypeError(f"output_transform: got {transform!r}, expected a name, a callable or None")
    return transform
