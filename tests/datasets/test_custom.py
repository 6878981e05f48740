"""A user's own .npy files."""

from pathlib import Path

import numpy as np
import pytest
from dataset_files import METHANE, WATER, molecules, write_custom

from torchmdnet.datasets import Custom, DatasetError


def patterns(folder: Path) -> dict[str, str]:
    return write_custom(folder, molecules(WATER, count=3, seed=0), molecules(METHANE, count=2, seed=1))


def test_reads_energies_without_forces(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    globs.pop("forceglob")
    assert Custom(**globs).fields == ("z", "pos", "y")


def test_neither_energies_nor_forces_is_an_error(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    with pytest.raises(DatasetError, match="give energy_files, force_files or both"):
        Custom(globs["coordglob"], globs["embedglob"])


def test_numbers_of_files_that_differ_are_listed(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    (tmp_path / "energy_1.npy").unlink()
    expected = (
        r"coord_files and energy_files do not match: 2 files \(coords_0.npy, coords_1.npy\) and 1 \(energy_0.npy\)"
    )
    with pytest.raises(DatasetError, match=expected):
        Custom(**globs)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("energy_1", np.zeros((3, 1)), r"energy_1.npy has shape \(3, 1\).* coords_1.npy beside it has \(2, 5, 3\)"),
        ("forces_0", np.zeros((3, 4, 3)), r"forces_0.npy has shape \(3, 4, 3\).* coords_0.npy beside it"),
        ("embed_0", np.array([8, 1]), r"embed_0.npy has shape \(2,\).*\(3,\) integers was expected"),
        ("embed_0", np.array([8.0, 1, 1]), r"embed_0.npy has shape \(3,\) of float64"),
        ("coords_0", np.zeros((9, 3)), r"coords_0.npy has shape \(9, 3\); \(frames, atoms, 3\)"),
    ],
)
def test_files_that_do_not_match_are_named(tmp_path: Path, name: str, array: np.ndarray, message: str) -> None:
    globs = patterns(tmp_path)
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(DatasetError, match=message):
        Custom(**globs)


def test_a_file_of_python_objects_is_refused(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    np.save(tmp_path / "embed_0.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"embed_0\.npy cannot be read as a .npy file of numbers"):
        Custom(**globs)


def test_a_pattern_without_match_names_its_option(tmp_path: Path) -> None:
    globs = patterns(tmp_path) | {"forceglob": str(tmp_path / "nope*.npy")}
    with pytest.raises(FileNotFoundError, match="force_files: no file matches"):
        Custom(**globs)


def test_names_parted_by_semicolons_belong_together_in_their_order(tmp_path: Path) -> None:
    patterns(tmp_path)
    kinds = {"coordglob": "coords", "embedglob": "embed", "energyglob": "energy", "forceglob": "forces"}
    globs = {key: f"{tmp_path}/{kind}_1.npy;{tmp_path}/{kind}_0.npy" for key, kind in kinds.items()}
    assert Custom(**globs).num_atoms.tolist() == [5, 5, 3, 3, 3]


def test_energies_without_a_second_axis_are_the_same(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    energies = Custom(**globs).energies().tolist()
    np.save(tmp_path / "energy_0.npy", np.load(tmp_path / "energy_0.npy")[:, 0])
    assert Custom(**globs).energies().tolist() == energies


def test_arguments_go_by_position_as_in_torchmd_net(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    by_position = Custom(*(globs[key] for key in ("coordglob", "embedglob", "energyglob", "forceglob")), 2)
    assert by_position.energies().tolist() == Custom(**globs).energies().tolist()


def test_transforms_and_filter_mean_what_they_mean_in_pyg(tmp_path: Path) -> None:
    globs = patterns(tmp_path)
    dataset = Custom(**globs, pre_filter=lambda sample: len(sample.z) == 5, transform=lambda sample: sample.z)
    assert len(dataset) == 2
    assert dataset[0].tolist() == METHANE.tolist()
