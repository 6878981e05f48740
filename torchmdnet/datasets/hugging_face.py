"""Tables of the Hugging Face hub or in local Parquet files; the only module that knows the package ``datasets``."""

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmdnet.datasets.validation import DatasetError

__all__ = ["Table", "load_table"]

BATCH_ROWS = 1024


class Table:
    """Rows of named columns, memory-mapped."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.files = [Path(entry["filename"]) for entry in rows.cache_files]
        """Where the rows are kept."""
        self.columns: tuple[str, ...] = tuple(rows.column_names)

    def __len__(self) -> int:
        return len(self._rows)

    def batches(self) -> Iterator["TableBatch"]:
        """All rows, some at a time."""
        for batch in self._rows.with_format("arrow").iter(batch_size=BATCH_ROWS):
            yield TableBatch(batch)


class TableBatch:
    """Consecutive rows of a table."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def lengths(self, column: str) -> NDArray[np.int64]:
        """Length of the list in each row. (n,)"""
        return np.asarray(self._column(column).value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)

    def values(self, column: str) -> NDArray[np.float64]:
        """Numbers of all rows, lists joined; a number that is missing is NaN."""
        array = self._column(column)
        while hasattr(array, "flatten") and hasattr(array.type, "value_type"):
            array = array.flatten()
        return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)

    def _column(self, column: str) -> Any:
        array = self._batch.column(column).combine_chunks()
        # Columns of a fixed number of dimensions wrap their lists
        return array.storage if hasattr(array, "storage") else array


def load_table(name: str, *, files: Sequence[str] | None, split: str, dataset: str) -> Table:
    """Load one split.

    Args:
        name: of a data set on the hub, or "parquet" for local files.
        files: local files, or patterns within the data set on the hub; None: all of the latter.
        split: "train", or with a slice such as "train[:10%]".
        dataset: who asks, for messages.

    Raises:
        ModuleNotFoundError: the package ``datasets`` is not installed.
        FileNotFoundError: the hub has no such data set or cannot be reached.
        DatasetError: there is no such split, or the files cannot be read.
    """
    package = importlib.import_module("datasets") if _is_installed() else None
    if package is None:
        raise ModuleNotFoundError(
            f"{dataset} needs the package datasets of Hugging Face: pip install 'torchmdnet[hf]'", name="datasets"
        )
    try:
        return Table(package.load_dataset(name, data_files=None if files is None else list(files), split=split))
    except (FileNotFoundError, ConnectionError) as error:
        reason = str(error).partition(" with any supported extension")[0]  # some hundred of them follow
        raise FileNotFoundError(f"{dataset}: the data set {name!r} cannot be fetched: {reason}") from error
    except (ValueError, package.exceptions.DatasetsError) as error:
        raise DatasetError(f"{dataset}: the split {split!r} of {name!r} cannot be read: {error}") from error


def _is_installed() -> bool:
    """Whether ``datasets`` is a package, and not a mere folder of that name, such as one of data."""
    found = importlib.util.find_spec("datasets")
    return found is not None and found.origin is not None
