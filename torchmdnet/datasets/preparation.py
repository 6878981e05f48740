"""What a user wants done to samples before they are stored: leaving some out, changing some."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

from torchmdnet.datasets.frames import ATOM_FIELDS, FRAME_FIELDS, Frames, concatenate
from torchmdnet.datasets.validation import DatasetError

__all__ = ["Preparation", "frame_from_sample", "sample_from_frame"]


class Preparation(NamedTuple):
    """``pre_filter`` and ``pre_transform`` with the meaning they have in PyTorch Geometric."""

    pre_filter: Callable[[Data], bool] | None = None
    pre_transform: Callable[[Data], Data] | None = None

    def identity(self) -> dict[str, str]:
        """What tells one preparation from another, by name; nothing where there is none.

        Raises:
            TypeError: one of the two cannot be called.
        """
        given = {name: function for name, function in self._asdict().items() if function is not None}
        for name, function in given.items():
            if not callable(function):
                raise TypeError(f"{name} is {function!r}; a function of one sample was expected")
        return {name: _describe(function) for name, function in given.items()}

    def apply(self, blocks: Iterator[Frames]) -> Iterator[Frames]:
        """Frames that pass ``pre_filter``, as ``pre_transform`` returns them."""
        if self.pre_filter is None and self.pre_transform is None:
            yield from blocks
            return
        for block in blocks:
            for _, run in groupby(self._prepared(block), key=Frames.present):
                yield concatenate(list(run))

    def _prepared(self, block: Frames) -> Iterator[Frames]:
        for sample, number in zip(_samples(block), block.frame_numbers(), strict=True):
            if self.pre_filter is None or self.pre_filter(sample):
                changed = sample if self.pre_transform is None else self.pre_transform(sample)
                yield frame_from_sample(changed, file=block.file, section=block.section, first=int(number))


def _samples(block: Frames) -> Iterator[Data]:
    ends = np.cumsum(block.num_atoms)
    for number, (end, size) in enumerate(zip(ends, block.num_atoms, strict=True)):
        yield sample_from_frame(block, number, slice(end - size, end))


def sample_from_frame(block: Frames, number: int, atoms: slice) -> Data:
    """One frame of a block as the sample that the data set would give."""
    fields: dict[str, Any] = {}
    for name in block.present():
        values = np.asarray(block.get(name))
        part = values[atoms] if name in ATOM_FIELDS else values[number : number + 1]
        dtype = {"z": np.int64, "pbc": np.bool_}.get(name, np.float64)
        fields[name] = torch.from_numpy(np.array(part, dtype=dtype))
    if "y" in fields:
        fields["y"] = fields["y"].unsqueeze(1)
    return Data(**fields)


def frame_from_sample(sample: Data, *, file: int, section: str, first: int) -> Frames:
    """A sample as a block of one frame.

    Raises:
        DatasetError: it is no sample, or has a field that a store has no place for.
    """
    known = {**ATOM_FIELDS, **FRAME_FIELDS}
    if not isinstance(sample, Data):
        raise DatasetError(f"pre_transform returned {type(sample).__name__}; a torch_geometric.data.Data was expected")
    for name in sample.keys():  # noqa: SIM118 - a Data is iterated by (name, value)
        if name not in known:
            raise DatasetError(
                f"pre_transform added {name!r}, which is none of {', '.join(known)} and cannot be stored; "
                "add it by transform, which is applied when a sample is asked for"
            )
    fields: dict[str, Any] = {
        name: np.asarray(sample[name]).reshape(-1 if name in ATOM_FIELDS else 1, *field.shape)
        for name, field in known.items()
        if name in sample
    }
    return Frames(file, section, first, np.array([len(fields["z"])]), **fields)


def _describe(function: object) -> str:
    """A text that changes when the function does: its code and what is bound to it, or the attributes of an object."""
    if isinstance(function, MethodType):
        return f"{_describe(function.__func__)} of {_describe(function.__self__)}"
    if isinstance(function, partial):
        return f"{_describe(function.func)} {function.args} {function.keywords}"
    if isinstance(function, FunctionType):
        bound = [_describe(cell.cell_contents) for cell in function.__closure__ or ()]
        defaults = (function.__defaults__, function.__kwdefaults__)
        return f"{function.__qualname__} {_describe_code(function.__code__)} {bound} {defaults}"
    if callable(function) and hasattr(function, "__dict__") and not isinstance(function, type):
        attributes = {name: _describe(value) for name, value in sorted(vars(function).items())}
        return f"{type(function).__module__}.{type(function).__qualname__} {attributes}"
    # Addresses differ from one run to the next
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(function))


def _describe_code(code: CodeType) -> str:
    constants = [_describe_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {constants} {code.co_names}"
