"""What tests of benchmarks share: modules of the folder ``benchmarks``, its programs, and the tables they write."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def module(name: str) -> ModuleType:
    """A module of the folder, which lies beside no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


def call(script: str, *words: str, expected: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run a program of the folder."""
    command = [sys.executable, str(BENCHMARKS / script), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == expected, result.stderr[-2000:]
    return result


def call_here(monkeypatch: pytest.MonkeyPatch, script: str, *words: str) -> None:
    """Run a program of the folder in this process."""
    monkeypatch.setattr(sys, "argv", [script, *words])
    module(Path(script).stem).main()


def cells_of(text: str) -> list[list[str]]:
    """Rows of all tables, titles included."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def table_of(text: str, heading: str) -> list[dict[str, str]]:
    """Rows of the table under a heading, by their titles."""
    part = text.split(f"## {heading}")[1].split("\n## ")[0]
    title, _, *rows = cells_of(part)
    return [dict(zip(title, row, strict=True)) for row in rows]
