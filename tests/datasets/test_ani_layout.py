"""The reader of the ANI family's files, on genuine and on faulty ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ani_spice_files import ani_group, size_group, write_groups

from torchmdnet.datasets.ani_layout import AniLayout, read_ani
from torchmdnet.datasets.frames import Frames, concatenate
from torchmdnet.datasets.validation import DatasetError
from torchmdnet.units import HARTREE_IN_EV

ENERGIES = AniLayout(z="species", energy="energies")
FORCES = AniLayout(z="species", energy="energies", forces="forces")
GRADIENTS = AniLayout(z="species", energy="energies", gradients="forces")


def read(path: Path, layout: AniLayout = GRADIENTS) -> list[Frames]:
    return list(read_ani([path], layout))


def agreement_with_energies(frames: Frames) -> float:
    """Slope of energy differences of near frames over the work of the forces between them: 1 if these are forces."""
    count = len(frames.num_atoms)
    pos, force = (np.asarray(values).reshape(count, -1) for values in (frames.pos, frames.neg_dy))
    distance = np.linalg.norm(pos[:, None] - pos, axis=2) + 1e9 * np.eye(count)
    near = distance.argmin(axis=1)
    work = -0.5 * np.sum((force + force[near]) * (pos[near] - pos), axis=1)
    energy = np.asarray(frames.y)
    return float(work @ (energy[near] - energy) / (work @ work))


def test_what_comp6_calls_forces_are_gradients(test_data: Path) -> None:
    methane = read(test_data / "data" / "raw" / "gdb11_S01_06r.h5")[0]
    # Energies are not quite quadratic between frames
    assert agreement_with_energies(methane._replace(numbers=None)) == pytest.approx(1.0, abs=0.05)


def test_energies_and_positions_of_a_genuine_file(test_data: Path) -> None:
    blocks = read(test_data / "data" / "raw" / "ani_gdb_s01.h5", ENERGIES)
    assert [block.section for block in blocks] == [f"gdb11_s01/gdb11_s01-{i}" for i in range(3)]
    assert [len(block.num_atoms) for block in blocks] == [5400, 3600, 1800]
    assert [np.asarray(block.z)[: block.num_atoms[0]].tolist() for block in blocks] == [
        [6, 1, 1, 1, 1],
        [7, 1, 1, 1],
        [8, 1, 1],
    ]
    assert np.asarray(blocks[0].y)[0] == pytest.approx(-40.48058817 * HARTREE_IN_EV, abs=1e-6)
    assert np.asarray(blocks[0].pos)[0] == pytest.approx([-0.0034502, 0.01017081, 0.01938033], abs=1e-7)


def test_forces_and_gradients_differ_by_their_sign(tmp_path: Path) -> None:
    group = ani_group("OHH", [0.0, 1.0])
    path = write_groups(tmp_path / "a.h5", {"g": group})
    forces, gradients = (np.asarray(read(path, layout)[0].neg_dy) for layout in (FORCES, GRADIENTS))
    assert forces == pytest.approx(group["forces"].reshape(-1, 3).astype(np.float64) * HARTREE_IN_EV)
    assert np.array_equal(forces, -gradients)


def test_a_group_may_hold_different_molecules(tmp_path: Path) -> None:
    group = size_group(4, 3)
    frames = read(write_groups(tmp_path / "a.h5", {"004": group}), FORCES)[0]
    assert np.array_equal(np.asarray(frames.z).reshape(3, 4), group["species"])


def test_large_groups_come_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_groups(tmp_path / "a.h5", {"a": ani_group("OHH", [0.0, 1.0, 2.0, 3.0, 4.0])})
    whole = read(path)[0]
    monkeypatch.setattr("torchmdnet.datasets.ani_layout.BLOCK_ATOMS", 6)
    blocks = read(path)
    assert [(block.first, len(block.num_atoms)) for block in blocks] == [(0, 2), (2, 2), (4, 1)]
    joined = concatenate(blocks)
    assert all(np.array_equal(joined.get(name), whole.get(name)) for name in whole.present())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"species": np.array([b"O", b"H"])}, r"group g: species has shape \(2,\), but coordinates has \(2, 3, 3\)"),
        ({"energies": np.zeros(3)}, r"energies has shape \(3,\), but coordinates has \(2, 3, 3\): \(2,\) was expected"),
        ({"forces": np.zeros((2, 9))}, r"forces has shape \(2, 9\)"),
        ({"coordinates": np.zeros((3, 3))}, r"coordinates has shape \(3, 3\); \(frames, atoms, 3\) was expected"),
        ({"species": np.array([b"O", b"H", b"Zz"])}, r"group g: 'Zz' is no symbol of an element"),
        ({"species": np.array([8.0, 1.0, 1.0])}, r"atoms are given as float64; symbols or whole numbers were expected"),
    ],
)
def test_arrays_that_do_not_fit_are_told(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_groups(tmp_path / "a.h5", {"g": ani_group("OHH", [0.0, 1.0]) | changes})
    with pytest.raises(DatasetError, match=message):
        read(path)


def test_a_missing_array_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = write_groups(tmp_path / "a.h5", {"g": ani_group("OHH", [0.0], derivatives=False)})
    with pytest.raises(DatasetError, match=r"a.h5, group g has no forces; it has coordinates, energies, species"):
        read(path)


def test_a_file_without_molecules_is_described(tmp_path: Path) -> None:
    path = write_groups(tmp_path / "a.h5", {"g": {"pos": np.zeros(3)}})
    with pytest.raises(DatasetError, match=r"has no group with arrays coordinates, species, energies, forces, only g"):
        read(path)


def test_a_file_that_is_no_hdf5_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("<html>")
    with pytest.raises(DatasetError, match=r"a.h5 cannot be read as an HDF5 file"):
        read(tmp_path / "a.h5")
