"""The benchmark beside other architectures runs, and says what is missing."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def rows_of(words: list[str]) -> tuple[list[list[str]], str]:
    command = [sys.executable, str(BENCHMARKS / "architectures.py"), "--systems", "6", "--seconds", "0", "--turns", "1"]
    output = subprocess.run([*command, *words], capture_output=True, text=True, check=True, timeout=200).stdout
    lines = [line for line in output.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines], output


def test_measures_our_models_without_peers() -> None:
    (title, _, tensornet, transformer), _ = rows_of([])
    assert [row[title.index("model")] for row in (tensornet, transformer)] == ["TensorNet", "ET-SPICE"]
    assert min(float(row[title.index(column)]) for row in (tensornet, transformer) for column in ("ms", "MB")) > 0
    assert tensornet[title.index("times TensorNet")] == "1.0"


def test_says_that_a_peer_is_not_installed() -> None:
    rows, output = rows_of(["--nequip-python", sys.executable])
    assert [row[2] for row in rows[-2:]] == ["NequIP-S", "NequIP-M"]
    assert "- NequIP-S, 6 atoms, 1 threads: PackageNotFoundError: No package metadata was found for nequip" in output
