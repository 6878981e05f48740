"""The table of errors that a run ends with, on screen, as CSV and as JSON."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from torchmdnet.training.evaluation import EvaluationResult

__all__ = ["print_errors", "write_errors"]

_COLUMNS = ("set", "quantity", "unit", "mae", "rmse", "num_values")


def print_errors(results: Mapping[str, EvaluationResult], *, console: Console | None = None) -> None:
    """Print the errors.

    Args:
        results: By name of the set of frames, such as "val" and "test".
        console: By default standard output.
    """
    table = Table(title="Errors")
    for name in ("set", "quantity", "unit"):
        table.add_column(name)
    for name in ("MAE", "RMSE", "values"):
        table.add_column(name, justify="right")
    for name, result in results.items():
        for row in result.rows:
            table.add_row(name, row.quantity, row.unit, f"{row.mae:.4g}", f"{row.rmse:.4g}", str(row.num_values))
        table.add_section()
    (console or Console()).print(table)


def write_errors(results: Mapping[str, EvaluationResult], path: Path) -> None:
    """Write ``path`` as CSV and, with the suffix ``.json``, as JSON.

    Args:
        results: By name of the set of frames.
        path: Ends in ``.csv``.
    """
    rows = [dict(zip(_COLUMNS, (name, *row), strict=True)) for name, result in results.items() for row in result.rows]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))
