"""The table and the plot at the end of a run."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from torchmdnet.training.errors import ErrorRow
from torchmdnet.training.evaluation import EvaluationResult, Samples
from torchmdnet.training.parity import plot_parity
from torchmdnet.training.report import print_errors, write_errors

NONE = Samples(np.zeros(0), np.zeros(0))


@pytest.fixture
def results():
    rows = [ErrorRow("energy", "meV", 12.3456, 23.4, 5), ErrorRow("forces", "meV/Å", 1.5, 2.5, 60)]
    label = np.linspace(-1, 1, 60)
    return {"test": EvaluationResult(rows, Samples(label[:5], label[:5] + 0.1), Samples(label, label + 0.01))}


def test_prints_errors_with_units(results):
    text = io.StringIO()
    print_errors(results, console=Console(file=text, width=100))
    assert "meV/Å" in text.getvalue()
    assert "12.35" in text.getvalue()


def test_writes_errors_in_full_precision(results, tmp_path):
    write_errors(results, tmp_path / "errors.csv")
    with open(tmp_path / "errors.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "set": "test",
        "quantity": "energy",
        "unit": "meV",
        "mae": "12.3456",
        "rmse": "23.4",
        "num_values": "5",
    }
    assert (tmp_path / "errors.json").exists()


def test_plots_a_png(results, tmp_path):
    plot_parity(results, tmp_path / "parity.png")
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")


def test_plots_nothing_without_values(tmp_path):
    plot_parity({"test": EvaluationResult([], NONE, NONE)}, tmp_path / "parity.png")
    assert not (tmp_path / "parity.png").exists()


def test_plots_one_point(tmp_path):
    one = Samples(np.zeros(1), np.zeros(1))
    plot_parity({"test": EvaluationResult([], one, NONE)}, tmp_path / "parity.png")
    assert (tmp_path / "parity.png").exists()
