"""The benchmark of energy conservation runs, and finds the drift that is there."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import OPTIONS, small_model

from torchmdnet.checkpoint import FORMAT_VERSION
from torchmdnet.config import Config

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_draws_the_energies_of_both_models(tmp_path: Path) -> None:
    known = {"embedding_dimension", "num_layers", "num_rbf", "cutoff_upper", "max_z", "output_model", "precision"}
    options = {key: value for key, value in OPTIONS.items() if key in known}
    options = Config.from_dict({**options, "model": "tensornet"}).to_dict() | {"format_version": FORMAT_VERSION}
    weights = {f"model.{name}": value for name, value in small_model("tensornet").state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": options}, tmp_path / "model.ckpt")
    words = ["--steps", "200", "--dtypes", "float64", "--tolerances", "1e-4", "--plot", "nve.png"]
    command = [sys.executable, str(BENCHMARKS / "nve_drift.py"), "model.ckpt", *words]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100).stdout
    _, exact, tables, _ = output.splitlines()
    assert exact.startswith("exact, float64")
    assert tables.startswith("tables, 0.0001, float64")
    assert (tmp_path / "nve.png").stat().st_size > 1000


def test_a_drift_is_found_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    run = importlib.import_module("nve_drift").Run
    time = np.linspace(0, 10, 2000)
    noise = np.random.default_rng(0).normal(size=2000)
    slope, error = run("", time, 0.3 * time + noise, 0.0).drift()
    # Of a straight line through 2000 points with noise 1 over 10 ps.
    assert error == pytest.approx(np.sqrt(12 / 2000) / 10, rel=0.5)
    assert abs(slope - 0.3) < 3 * error
