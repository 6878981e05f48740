"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write as write_frames

from torchmdnet.config import Config

SMALL_RUN: dict[str, Any] = {
    "dataset": "ExtXYZ",
    "model": "tensornet",
    "embedding_dimension": 8,
    "num_layers": 1,
    "num_rbf": 8,
    "cutoff_upper": 3.0,
    "derivative": True,
    "batch_size": 4,
    "train_size": 8,
    "val_size": 4,
    "test_size": 4,
    "lr": 1e-3,
    "num_epochs": 2,
    "prior_model": "Atomref",
    "accelerator": "cpu",
    "ngpus": 1,
    "max_z": 10,
}
"""Options of a training run that takes a second."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small run faster on one thread, and their sums are then the same to the last bit."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder with reference data and contract vectors, named by TORCHMDNET_TEST_DATA."""
    folder = os.environ.get("TORCHMDNET_TEST_DATA")
    if not folder:
        pytest.skip("TORCHMDNET_TEST_DATA is not set: reference data are not at hand")
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"TORCHMDNET_TEST_DATA={folder} is not a folder")
    return path


@pytest.fixture(scope="session")
def write_molecules() -> Callable[..., Path]:
    """Function that writes small molecules of H, C and O with Lennard-Jones energies and forces as extended XYZ."""

    def write(path: Path, *, num_frames: int = 16, seed: int = 0, total_energy: float = -20.0) -> Path:
        generator = np.random.default_rng(seed)
        frames = []
        for _ in range(num_frames):
            symbols = generator.choice(["H", "C", "O"], size=generator.integers(3, 6))
            corners = np.array(list(np.ndindex(2, 2, 2)))[generator.permutation(8)[: len(symbols)]]
            atoms = Atoms(symbols, 1.2 * corners + generator.normal(scale=0.05, size=(len(symbols), 3)))
            calculator = LennardJones(sigma=1.1, epsilon=0.5, rc=6.0)
            atoms.calc = calculator
            forces, energy = atoms.get_forces(), atoms.get_potential_energy() + total_energy * len(atoms)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
            frames.append(atoms)
        write_frames(path, frames, format="extxyz")
        return path

    return write


@pytest.fixture(scope="session")
def small_run(write_molecules: Callable[..., Path]) -> Callable[[Path], dict[str, Any]]:
    """Function that gives the options of a run of a second on sixteen molecules, all in one folder."""

    def make(folder: Path) -> dict[str, Any]:
        path = write_molecules(folder / "molecules.xyz")
        return SMALL_RUN | {"dataset_root": str(path), "log_dir": str(folder / "logs")}

    return make


@pytest.fixture
def options(tmp_path: Path, small_run: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Options of a run of a second on sixteen molecules."""
    return small_run(tmp_path)


@pytest.fixture
def write_yaml(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Function that writes options to a YAML file."""

    def write(options: dict[str, Any], name: str = "conf.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(options))
        return path

    return write


@pytest.fixture
def config(options: dict[str, Any]) -> Callable[..., Config]:
    """Function that makes the configuration of a small run, with some options changed."""
    return lambda **given: Config.from_dict(options | given)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked gpu need a device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device is at hand"))
