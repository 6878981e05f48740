"""A potential that is recorded once and then replayed: for many steps with the same atoms.

What is recorded is a sequence of operations on certain memory: it has no eyes. Positions and cells are copied to where
it reads, neighbour lists have a fixed length, and what was wrong is asked after it has run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from torchmdnet.calculators.opening import members_of
from torchmdnet.neighbors import NeighborList, use_static_shapes
from torchmdnet.potential import Ensemble, Prediction, TorchMD_Net

__all__ = ["GraphReplay", "Outputs", "RecordedFunction", "Recorder"]


class Outputs(NamedTuple):
    """What a replay writes, at the same place each time. Letters: R systems, N atoms."""

    energy: Tensor
    """(R, 1)"""
    forces: Tensor
    """(N, 3)"""
    is_faulty: Tensor
    """Whether a neighbour list was too short, or refused the input: the other numbers are then NaN. () bool"""


RecordedFunction = Callable[[Tensor, Tensor | None], Outputs]
"""From positions (N, 3) and cells (R, 3, 3), or None, to outputs."""


class Recorder(Protocol):
    """Records what a function does to memory, and does it again: a CUDA graph."""

    def warm_up(self, function: RecordedFunction, pos: Tensor, box: Tensor | None, *, steps: int) -> None:
        """Run the function some times as it is."""

    def record(self, function: RecordedFunction, pos: Tensor, box: Tensor | None) -> Outputs:
        """Forget what was recorded before, and record the function: each replay then reads what these tensors hold.

        The numbers in the outputs mean nothing before the first replay.

        Raises:
            RuntimeError: The function does what cannot be recorded.
        """

    def replay(self) -> None:
        """Run what was recorded."""


class Recording(NamedTuple):
    """What was recorded: where it reads and where it writes."""

    pos: Tensor
    box: Tensor | None
    outputs: Outputs
    weights: list[Tensor]
    """Kept, for the recording reads their memory even where the model has other weights by now."""

    def takes(self, pos: Tensor, box: Tensor | None) -> bool:
        """Whether it is for as many atoms, and for a cell if there is one."""
        return pos.shape == self.pos.shape and (box is None) == (self.box is None)


class GraphReplay:
    """A potential for systems of fixed atoms: recorded at the first call, replayed at the others.

    It is recorded anew when a neighbour list has become too short and when a cell appears or vanishes. Nothing that a
    replay got wrong is returned: the status of the neighbour lists is read after each.

    Args:
        model: In evaluation mode; its neighbour lists get static shapes.
        z: Atomic numbers. (N,)
        batch: System of each atom. (N,)
        num_systems: R.
        recorder: Records and replays.
        warmup_steps: Calls before recording, in which neighbour lists find their length.

    Raises:
        ValueError: ``warmup_steps`` is no integer, or less than one.
    """

    def __init__(
        self,
        model: TorchMD_Net | Ensemble,
        z: Tensor,
        *,
        batch: Tensor,
        num_systems: int,
        recorder: Recorder,
        warmup_steps: int,
    ) -> None:
        if not isinstance(warmup_steps, int) or warmup_steps < 1:
            raise ValueError(
                f"cuda_graph_warmup_steps: got {warmup_steps!r}, expected an integer of at least 1: the first call "
                "finds how long neighbour lists are"
            )
        use_static_shapes(model)
        self.num_recordings = 0
        """How often the model has been recorded."""
        self._model = model
        self._z = z
        self._batch = batch
        self._num_systems = num_systems
        self._recorder = recorder
        self._warmup_steps = warmup_steps
        self._lists = [module for module in model.modules() if isinstance(module, NeighborList)]
        self._recording: Recording | None = None

    @torch.inference_mode(False)
    @torch.no_grad()
    def __call__(self, pos: Tensor, box: Tensor | None = None) -> Prediction:
        """Energies (R, 1) and forces (N, 3), which are the caller's to keep. pos: (N, 3), box: (R, 3, 3)

        Raises:
            ValueError: What the model refuses.
            RuntimeError: The model does something that cannot be recorded.
        """
        outputs = self._replay(pos, box)
        if outputs is None:
            self._record(pos, box)
            outputs = self._replay(pos, box)
        if outputs is None:
            raise RuntimeError(
                "the neighbour lists of a recorded model cannot hold the atoms that it was recorded with: leave out "
                "use_cuda_graph, and report this, please"
            )
        return Prediction(energy=outputs.energy.clone(), forces=outputs.forces.clone())

    def _replay(self, pos: Tensor, box: Tensor | None) -> Outputs | None:
        """What the recording gives; None if there is none for this input, or a neighbour list did not take it."""
        recording = self._recording
        if recording is None or not recording.takes(pos, box):
            return None
        recording.pos.copy_(pos)
        if recording.box is not None and box is not None:
            recording.box.copy_(box)
        self._recorder.replay()
        return None if bool(recording.outputs.is_faulty) else recording.outputs

    def _record(self, pos: Tensor, box: Tensor | None) -> None:
        """Let neighbour lists find their length, and record the model.

        The calls before look at numbers: they refuse what is wrong with the input, and then the recording stays.
        """
        pos, box = pos.clone(), None if box is None else box.clone()
        self._recorder.warm_up(self._evaluate, pos, box, steps=self._warmup_steps)
        self._recording = None  # its memory is free for the new one
        try:
            outputs = self._recorder.record(self._evaluate, pos, box)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RuntimeError(
                f"use_cuda_graph=True: {self._describe()} cannot be captured, as no part of what is captured may read "
                f"numbers back from the GPU: leave use_cuda_graph out ({error})"
            ) from error
        tensors = (*self._model.parameters(), *self._model.buffers())
        self._recording = Recording(pos, box, outputs, [tensor.detach() for tensor in tensors])
        self.num_recordings += 1

    def _evaluate(self, pos: Tensor, box: Tensor | None) -> Outputs:
        prediction = self._model.compute(self._z, pos, self._batch, box=box, num_systems=self._num_systems)
        if prediction.forces is None:
            raise TypeError("the model gave no forces")
        none = torch.zeros(1, dtype=torch.int32, device=pos.device)
        faults = [neighbors.status[1:] for neighbors in self._lists if neighbors.status is not None]
        return Outputs(prediction.energy.detach(), prediction.forces.detach(), torch.cat([none, *faults]).any())

    def _describe(self) -> str:
        """The parts of the model."""
        member = members_of(self._model)[0]
        parts = [member.representation_model, member.output_model, *(member.prior_model or ())]
        return ", ".join(type(part).__name__ for part in parts)

    def __getstate__(self) -> dict[str, Any]:
        """What is copied: all but the recording, which is made anew when needed."""
        return self.__dict__ | {"_recording": None}
