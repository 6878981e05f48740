"""The benchmark of neighbour lists runs, and refuses to time a wrong list."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> type:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("neighbor_cases").Case


def cells_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_prints_a_row_for_each_case() -> None:
    options = {"threads": 1, "atoms": 40, "cutoffs": 3, "cells": "triclinic", "dtypes": "float64", "molecules": 2}
    options |= {"scaling": 60, "seconds": 0, "turns": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, str(BENCHMARKS / "neighbors.py"), *words]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    title, _, crystal, molecules, _, _, large = cells_of(output)
    sizes = [row[title.index("atoms")] for row in (crystal, molecules)]
    speeds = [float(row[title.index(column)]) for row in (crystal, molecules) for column in ("list", "graph", "ase")]
    assert sizes == ["40", "2 x 24"]
    assert min(speeds) > 0
    assert large[1] == "60"
    assert float(large[3]) > 0


@pytest.mark.parametrize("cell", ["cubic", "triclinic", "open"])
def test_atoms_lie_in_the_cell(case: type, cell: str) -> None:
    example = case(num_atoms=50, num_systems=3, cell=cell, cutoff=5.0, dtype="float32")
    fraction = example.positions() @ np.linalg.inv(example.box())
    assert fraction.shape == (3, 50, 3)
    assert fraction.min() >= 0
    assert fraction.max() < 1
    assert np.linalg.det(example.box()) == pytest.approx(500, rel=1e-6)


def test_a_list_with_another_number_of_pairs_is_wrong(case: type) -> None:
    exact, rounded = (
        case(num_atoms=50, num_systems=1, cell="open", cutoff=5.0, dtype=dtype, num_pairs=1000)
        for dtype in ("float64", "float32")
    )
    assert exact.wrong(1000) == ""
    assert exact.wrong(998) == "wrong: 998 pairs for 1000"
    assert rounded.wrong(998) == ""
    assert rounded.wrong(990) == "wrong: 990 pairs for 1000"
