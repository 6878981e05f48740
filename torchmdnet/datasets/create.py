"""From the options of a run to a data set."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.sample_dataset import SampleDataset
from torchmdnet.datasets.sources import find_files
from torchmdnet.datasets.stored_dataset import StoredDataset
from torchmdnet.import_path import import_class

__all__ = ["Parts", "create_dataset"]

CUSTOM_OPTIONS = {
    "coord_files": "coordglob",
    "embed_files": "embedglob",
    "energy_files": "energyglob",
    "force_files": "forceglob",
}
PART_OPTIONS = ("dataset_root", "val_dataset_root", "test_dataset_root")
FILE_SETS = ("ExtXYZ", "HDF5", "ASEDatabase")


DatasetClass = Callable[..., Any]


class Parts(NamedTuple):
    """A data set and the frames that come from separate files."""

    dataset: StoredDataset | SampleDataset
    main: NDArray[np.int64]
    """Frames of ``dataset_root``."""
    val: NDArray[np.int64] | None
    """Frames of ``val_dataset_root``, None if that is not given."""
    test: NDArray[np.int64] | None
    """Frames of ``test_dataset_root``, None if that is not given."""


def create_dataset(options: Mapping[str, Any], known: Mapping[str, Callable[..., StoredDataset]]) -> Parts:
    """The data set that ``dataset``, ``dataset_root`` and ``dataset_arg`` name.

    A class of the user's own is named by its import path, ``my_module.MyDataset``, and made as
    ``MyDataset(dataset_root, **dataset_arg)``. It has ``len`` and gives ``torch_geometric.data.Data``, as any data set
    of PyTorch Geometric does; see :class:`~torchmdnet.datasets.sample_dataset.SampleDataset`.

    Separate files of validation and test frames go into the same store, so that each frame has one number.

    Args:
        options: by key.
        known: data sets by name.

    Raises:
        TypeError: the import path leads to something that is no class.
        ValueError: the data set is unknown, an argument is none of its own, or a file is named twice.
        FileNotFoundError: a file is missing.
    """
    name = options.get("dataset")
    if not isinstance(name, str) or (name not in known and "." not in name):
        raise ValueError(_unknown(name, known))
    dataset_class: DatasetClass = known[name] if name in known else import_class(name, kind="data set")
    arguments = _arguments(name, dataset_class, options)
    separate = [key for key in PART_OPTIONS[1:] if options.get(key)]
    if not separate:
        made = dataset_class(**arguments) if name == "Custom" else dataset_class(options["dataset_root"], **arguments)
        dataset = made if hasattr(made, "get_batch") else SampleDataset(made)
        return Parts(dataset, np.arange(len(dataset)), None, None)
    if name not in FILE_SETS:
        raise ValueError(f"{separate[0]}: {name} has no separate files; use {', '.join(FILE_SETS)}, or splits")
    files = {key: find_files(options[key], key) if options.get(key) else [] for key in PART_OPTIONS}
    _check_distinct(files)
    dataset = dataset_class([path for paths in files.values() for path in paths], **arguments)
    ends = np.cumsum([len(paths) for paths in files.values()])
    main = dataset.frames_of_files(0, ends[0])
    parts = [dataset.frames_of_files(first, last) for first, last in pairwise(ends)]
    val, test = (part if options.get(key) else None for key, part in zip(PART_OPTIONS[1:], parts, strict=True))
    return Parts(dataset, main, val, test)


def _unknown(name: object, known: Mapping[str, Callable[..., StoredDataset]]) -> str:
    listed = ", ".join(known)
    if name is None:
        return f"dataset: no data set is named; choose one of {listed}"
    close = difflib.get_close_matches(str(name).lower(), [key.lower() for key in known], n=1)
    meant = next((f"; did you mean '{key}'?" for key in known if close and key.lower() == close[0]), "")
    return (
        f"dataset: '{name}' is none of {listed}{meant}; a class of your own is named by its import path, such as "
        "my_module.MyDataset"
    )


def _arguments(name: str, dataset_class: DatasetClass, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the class, checked by name."""
    arguments = dict(options.get("dataset_arg") or {})
    if name == "Custom":
        arguments |= {own: options[key] for key, own in CUSTOM_OPTIONS.items() if options.get(key) is not None}
        for key in ("coord_files", "embed_files"):
            if CUSTOM_OPTIONS[key] not in arguments:
                raise ValueError(f"{key}: Custom needs a pattern of .npy files")
    parameters = dict(inspect.signature(dataset_class).parameters)
    allowed = list(parameters)[0 if name == "Custom" else 1 :]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in arguments:
        if key not in allowed and not takes_any:
            close = difflib.get_close_matches(key, allowed, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"dataset_arg: '{key}' is not an argument of {name} ({', '.join(allowed)}){meant}")
    return arguments


def _check_distinct(files: Mapping[str, Sequence[Path]]) -> None:
    owners: dict[Path, str] = {}
    for key, paths in files.items():
        for path in paths:
            if path in owners:
                raise ValueError(
                    f"{path} is named by both {owners[path]} and {key}; held-out frames are no training frames"
                )
            owners[path] = key
