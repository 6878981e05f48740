"""MACE-OFF from files in place."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ani_spice_files import maceoff_frame

from torchmdnet.datasets import MACEOFF, DatasetError

STEM = "train_large_neut_no_bad_clean"
WATER = ["O", "H", "H"]


def write_xyz(root: Path, *frames: str) -> Path:
    path = root / "raw" / "maceoff" / "1.0" / f"{STEM}.xyz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(frames))
    return path


def test_energy_positions_and_forces_are_as_in_the_file(tmp_path: Path) -> None:
    write_xyz(tmp_path, maceoff_frame(WATER, -2080.5, 0.75), maceoff_frame(["Br", "Cl"], -3.0))
    dataset = MACEOFF(tmp_path)
    assert dataset.energies().tolist() == [-2080.5, -3.0]
    assert dataset[1].z.tolist() == [35, 17]
    assert np.allclose(dataset[0].pos, [[1.5 * i, 0.25, -1e-3] for i in range(3)])
    assert np.allclose(dataset[0].neg_dy, [[0.0, 0.75, 0.0]] * 3)


def test_the_published_archive_is_unpacked(tmp_path: Path) -> None:
    path = write_xyz(tmp_path, maceoff_frame(WATER, -1.0))
    with tarfile.open(path.with_name(f"{STEM}.tar.gz"), "w:gz") as bundle:
        bundle.add(path, path.name)
    path.unlink()
    assert MACEOFF(tmp_path).energies().tolist() == [-1.0]


def test_the_version_may_be_a_number(tmp_path: Path) -> None:
    write_xyz(tmp_path, maceoff_frame(WATER, -1.0))
    assert len(MACEOFF(tmp_path, version=1.0)) == 1  # type: ignore[arg-type]


def test_frames_with_a_larger_force_are_left_out(tmp_path: Path) -> None:
    write_xyz(tmp_path, *(maceoff_frame(WATER, float(i), force) for i, force in enumerate((0.5, 3.0, 1.0))))
    dataset = MACEOFF(tmp_path, max_gradient=2.0)
    assert dataset.energies().tolist() == [0.0, 2.0]
    assert dataset.frame_name(1) == f"{STEM}.xyz, frame 2"


def test_blocks_do_not_change_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmdnet.datasets.maceoff_layout.BLOCK_FRAMES", 2)
    write_xyz(tmp_path, *(maceoff_frame(WATER[: 2 + i % 2], float(i)) for i in range(5)))
    dataset = MACEOFF(tmp_path)
    assert dataset.energies().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert dataset.num_atoms.tolist() == [2, 3, 2, 3, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (maceoff_frame(WATER, -1.0)[:-40], r"frame 1 has 3 atoms, but the file ends after 2"),
        ("H 0 0 0\n", r"frame 1 starts with 'H 0 0 0'; a number of atoms was expected"),
        ("0\nenergy=1\n", r"frame 1 starts with '0'; a number of atoms was expected"),
        ("1\nMACE_energy=1\nH 0 0 0 0 0 0\n", r"frame 1 has no energy= in its second line, 'MACE_energy=1'"),
        ("1\nenergy=1\nH 0 0 0 0 0\n", r"frame 1 has a line 'H 0 0 0 0 0'; 'symbol x y z fx fy fz ...' was expected"),
        ("1\nenergy=1\nQq 0 0 0 0 0 0\n", r"frame 1 has a line 'Qq 0 0 0 0 0 0'"),
        ("1\nenergy=1\nH 0 0 0 0 0 x\n", r"frame 1 cannot be read: could not convert string to float: 'x'"),
    ],
)
def test_a_faulty_frame_is_named(tmp_path: Path, text: str, message: str) -> None:
    # The end of the last line that is cut off is that of a whole line
    cut = text if text.endswith("\n") else text[: text.rindex("\n") + 1]
    write_xyz(tmp_path, maceoff_frame(WATER, -1.0), cut)
    with pytest.raises(DatasetError, match=message):
        MACEOFF(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "2"}, r"MACEOFF: version '2' is none of 1.0"),
        ({"max_gradient": True}, r"MACEOFF: max_gradient is True; a positive number \(eV/Å\) or None was expected"),
    ],
)
def test_senseless_arguments_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MACEOFF(tmp_path, **arguments)
