"""Every example runs, every example configuration holds options that exist, and the quick-start data are sound."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.io import read

from torchmdnet.config import Config
from torchmdnet.factory import check_names

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICKSTART = EXAMPLES / "quickstart"
SCRIPTS = sorted([*EXAMPLES.glob("[0-9]*.py"), QUICKSTART / "predict.py"])
CONFIGURATIONS = sorted(EXAMPLES.rglob("*.yaml"))
COUNTS = {"quickstart": 1200, "test": 240, "unseen": 48}


def run_script(script: Path, *arguments: str, folder: Path) -> str:
    """What the script prints; warnings are errors, as in the other tests."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments, "--fast"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first example leaves, for the others to use."""
    folder = tmp_path_factory.mktemp("examples")
    run_script(EXAMPLES / "01_train.py", "--log-dir", "log", folder=folder)
    return folder / "log" / "best.ckpt"


@pytest.fixture(scope="session")
def frames() -> dict[str, list[Atoms]]:
    """All frames of the quick-start data, by file."""
    return {name: read(QUICKSTART / f"{name}.extxyz", ":") for name in COUNTS}


def test_the_training_example_leaves_a_checkpoint(checkpoint: Path) -> None:
    assert checkpoint.is_file()


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.name != "01_train.py"], ids=lambda path: path.name)
def test_the_example_runs(script: Path, checkpoint: Path, tmp_path: Path) -> None:
    if script.name == "06_openmm.py":
        pytest.importorskip("openmm", reason="OpenMM is not installed (extra 'openmm')")
    printed = run_script(script, str(checkpoint), folder=tmp_path)
    assert printed
    assert "nan" not in printed.lower()


def test_the_energy_plot_is_written_where_it_was_asked_for(checkpoint: Path, tmp_path: Path) -> None:
    run_script(EXAMPLES / "02_md_nve.py", str(checkpoint), "--plot", "energies.png", folder=tmp_path)
    assert (tmp_path / "energies.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_the_configuration_holds_options_that_exist(path: Path) -> None:
    config = Config.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")), source=path.name)
    check_names(config.to_dict())


def test_the_files_hold_the_frames_that_the_guide_says(frames: dict[str, list[Atoms]]) -> None:
    assert {name: len(images) for name, images in frames.items()} == COUNTS
    assert sum((QUICKSTART / f"{name}.extxyz").stat().st_size for name in COUNTS) < 2e6


def test_unseen_molecules_are_in_neither_other_file(frames: dict[str, list[Atoms]]) -> None:
    names = {file: {atoms.info["name"] for atoms in images} for file, images in frames.items()}
    assert names["quickstart"] == names["test"]
    assert not names["unseen"] & names["quickstart"]


def test_no_frame_occurs_twice(frames: dict[str, list[Atoms]]) -> None:
    geometries = {atoms.positions.tobytes() for images in frames.values() for atoms in images}
    assert len(geometries) == sum(COUNTS.values())


def test_forces_of_every_frame_add_up_to_zero(frames: dict[str, list[Atoms]]) -> None:
    """To the six digits in the file."""
    sums = [atoms.get_forces().sum(0) for images in frames.values() for atoms in images]
    np.testing.assert_allclose(sums, 0.0, atol=3e-5)


@pytest.fixture(scope="session")
def generate() -> ModuleType:
    """The script that makes the data."""
    pytest.importorskip("tblite", reason="tblite is not installed (extra 'xtb')")
    spec = importlib.util.spec_from_file_location("generate", QUICKSTART / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("file", "frame"), [("quickstart", 0), ("quickstart", -1), ("test", 100), ("unseen", 20)])
def test_labels_are_those_of_the_method(
    generate: ModuleType, frames: dict[str, list[Atoms]], file: str, frame: int
) -> None:
    atoms = frames[file][frame]
    fresh = Atoms(atoms.numbers, atoms.positions, calculator=generate.calculator(accuracy=0.01))
    assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), rtol=0, atol=1e-4)


def test_force_labels_are_minus_the_slope_of_the_energy(generate: ModuleType, frames: dict[str, list[Atoms]]) -> None:
    atoms = frames["test"][50]
    for atom, axis in ((0, 0), (1, 2), (4, 1)):
        energies = []
        for step in (-1e-3, 1e-3):
            moved = Atoms(atoms.numbers, atoms.positions, calculator=generate.calculator(accuracy=0.01))
            moved.positions[atom, axis] += step
            energies.append(moved.get_potential_energy())
        assert atoms.get_forces()[atom, axis] == pytest.approx((energies[0] - energies[1]) / 2e-3, abs=1e-4)
