"""A model as programs for molecular dynamics ask it: one system at a time, answered in float64."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchmdnet.calculators.opening import ModelSource, members_of, open_model, parse_device
from torchmdnet.potential import Prediction
from torchmdnet.potential.compilation import compile_evaluation, forget_compilation
from torchmdnet.potential.references import FixedReferences

__all__ = ["Answer", "Question", "ServedModel"]

Array = np.ndarray[Any, Any]


class Question(NamedTuple):
    """One system of N atoms, in Å and e, and what is wanted of it."""

    numbers: Array
    """Atomic numbers. (N,)"""
    positions: Array
    """(N, 3)"""
    box: Array | None = None
    """Cell vectors a, b, c as rows; None where no axis is periodic. (3, 3)"""
    pbc: Array | None = None
    """Which axes are periodic; None with a box means all. (3,)"""
    charge: float = 0.0
    spin: float = 0.0
    forces: bool = True
    stress: bool = False
    energies: bool = False


class Answer(NamedTuple):
    """What a model says, or how much the members of an ensemble differ in it. float64, in eV and Å."""

    energy: Array
    """()"""
    forces: Array | None
    """(N, 3)"""
    stress: Array | None
    """(3, 3)"""
    energies: Array | None
    """Share of each atom in the energy. (N,)"""


class ServedModel:
    """A model, or an ensemble, that answers one system at a time.

    Fixed reference energies of the atoms are left out of the model's arithmetic and added in float64, where no digit of
    the rest is lost.

    Args:
        source: Checkpoint, list of checkpoints, zip of checkpoints, or a model, which is copied.
        device: Where it runs.
        dtype: Of the model and its arithmetic; None: float32 for files, a given model's own.
        compile: Whether the model is compiled, after a first answer for the same atoms that is not.
        **options: Options that replace those in the file.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is no checkpoint, there is no such device, or a skin is given for compiled code.
        TypeError: ``source`` is none of these, or a keyword is no option.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        device: str | torch.device,
        dtype: torch.dtype | str | None,
        compile: bool = False,
        **options: Any,
    ) -> None:
        self.device = parse_device(device)
        if compile and options.get("skin"):
            raise ValueError(
                f"skin: got {options['skin']} with compile=True; compiled code searches anew: leave out one"
            )
        self.model = open_model(source, device=device, dtype=dtype, **options)
        self._members = members_of(self.model)
        self._references = [FixedReferences(member) for member in self._members]
        self.dtype = self._members[0].mean.dtype
        self.compile = compile
        self._compiled_for: tuple[Any, ...] | None = None
        for member in self._members:
            forget_compilation(member, static_shapes=compile)  # of the model that was copied

    def __call__(self, question: Question) -> tuple[Answer, Answer | None]:
        """The answer, and the unbiased standard deviation over the members where there are several.

        Raises:
            ValueError: What the model refuses: an atomic number it does not know, positions that are not finite.
        """
        answers = self._answers_of_compiled(question) if self.compile else self._answers(question)
        if len(answers) == 1:
            return answers[0], None
        return _over_members(answers, np.mean), _over_members(
            answers, lambda values, axis: np.std(values, axis, ddof=1)
        )

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: all but compiled code, which is made anew when needed."""
        if self._compiled_for is not None:
            self._forget_compilation()
        return self.__dict__

    def _answers_of_compiled(self, question: Question) -> list[Answer]:
        """The answers of compiled code, or of that to be compiled if it is not yet, or of no use for these atoms."""
        question = question._replace(forces=True)  # what is compiled is the same for all questions
        atoms = (question.numbers.tobytes(), question.box is None, question.pbc is None)
        if self._compiled_for == atoms:
            answers = self._answers_where_they_fit(question)
            if answers is not None:
                return answers
        self._forget_compilation()
        answers = self._answers(question)
        for member in self._members:
            compile_evaluation(member)
        self._compiled_for = atoms
        return answers

    def _answers_where_they_fit(self, question: Question) -> list[Answer] | None:
        """The answers, None where neighbour lists are too short or something is wrong that only a call can tell.

        Compiled code does not say what is wrong with which atom; on a GPU it says nothing, but gives NaN.
        """
        try:
            answers = self._answers(question)
        except RuntimeError as error:
            if "torchmdnet:" not in str(error):  # the mark of our own ops
                raise
            return None
        return answers if all(np.isfinite(answer.energy) for answer in answers) else None

    def _forget_compilation(self) -> None:
        self._compiled_for = None
        for member in self._members:
            forget_compilation(member, static_shapes=True)

    def _answers(self, question: Question) -> list[Answer]:
        """One answer of each member."""
        z = torch.as_tensor(question.numbers, dtype=torch.int64, device=self.device)
        arguments: dict[str, Any] = {
            "box": None if question.box is None else self._tensor(question.box).reshape(1, 3, 3),
            "pbc": None if question.pbc is None else torch.as_tensor(question.pbc, device=self.device).reshape(1, 3),
            "q": self._tensor([question.charge]),
            "s": self._tensor([question.spin]),
        }
        pos, batch = self._tensor(question.positions), torch.zeros_like(z)
        answers = []
        for member, references in zip(self._members, self._references, strict=True):
            with references.left_out():
                prediction = member.compute(
                    z,
                    pos,
                    batch,
                    **arguments,
                    num_systems=1,
                    forces=question.forces or question.stress,
                    stress=question.stress,
                    energies=question.energies,
                )
            answers.append(_answer(prediction, references.left_out_energies(z)))
        return answers

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)


def _answer(prediction: Prediction, constants: Tensor) -> Answer:
    """The prediction, with the atoms' constants, (N, 1) float64."""
    return Answer(
        energy=np.asarray(prediction.energy.item() + constants.sum().item()),
        forces=None if prediction.forces is None else _array(prediction.forces),
        stress=None if prediction.stress is None else _array(prediction.stress)[0],
        energies=None if prediction.energies is None else (_array(prediction.energies) + _array(constants))[:, 0],
    )


def _over_members(answers: Sequence[Answer], reduce: Callable[..., Any]) -> Answer:
    """Mean, or deviation, of each quantity."""

    def over(values: tuple[Any, ...]) -> Any:
        return None if values[0] is None else reduce(np.stack(values), axis=0)

    return Answer(*map(over, zip(*answers, strict=True)))


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy().astype(np.float64)
