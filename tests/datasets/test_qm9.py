"""QM9 on genuine files and on small ones written here."""

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ase.io import read as read_frames

from torchmdnet.datasets import QM9, DatasetError
from torchmdnet.datasets.qm9 import LABELS
from torchmdnet.datasets.qm9_layouts import PROPERTIES
from torchmdnet.units import HARTREE_IN_EV, KCAL_PER_MOL_IN_EV

DATA = Path(os.environ.get("TORCHMDNET_TEST_DATA", "nowhere")) / "data"
genuine = pytest.mark.skipif(not (DATA / "qm9_raw").is_dir(), reason="TORCHMDNET_TEST_DATA has no data/qm9_raw")

GEOMETRY = {
    1: [("C", -0.0127, 1.0858, 0.008), ("H", 0.0022, -0.006, 0.002), ("H", 1.0117, 1.4638, 0.0003)],
    2: [("N", -0.0404, 1.0241, 0.0626), ("H", 0.0173, 0.0125, -0.0274)],
    3: [("O", -0.0344, 0.9775, 0.0076), ("H", 0.0648, 0.0206, 0.0015), ("H", 0.8718, 1.3008, 0.0007)],
}
VALUES = {number: [number + 0.01 * column for column in range(len(PROPERTIES))] for number in GEOMETRY}


def write_gdb9(raw: Path, *, left_out: tuple[int, ...] = ()) -> None:
    """Three molecules in the layout of ``gdb9.sdf``."""
    raw.mkdir(parents=True, exist_ok=True)
    blocks, rows = [], ["mol_id," + ",".join(PROPERTIES)]
    for number, atoms in GEOMETRY.items():
        lines = [f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:<3} 0  0" for symbol, x, y, z in atoms]
        blocks.append(
            "\n".join([f"gdb_{number}", "", "", f"{len(atoms):3d}  0  0  0  0  0  0  0  0  0999 V2000", *lines])
        )
        rows.append(f"gdb_{number}," + ",".join(f"{value:.2f}" for value in VALUES[number]))
    (raw / "gdb9.sdf").write_text("".join(f"{block}\nM  END\n$$$$\n" for block in blocks))
    (raw / "gdb9.sdf.csv").write_text("\n".join(rows) + "\n")
    write_uncharacterized(raw, left_out)


def write_uncharacterized(raw: Path, left_out: tuple[int, ...] = ()) -> None:
    """The list of molecules to leave out, with nine lines above and one below."""
    raw.mkdir(parents=True, exist_ok=True)
    lines = [f"{number:9d}  C#N  1.0" for number in left_out]
    (raw / "uncharacterized.txt").write_text("\n".join(["3054 molecules"] * 9 + lines + ["3054 compounds"]) + "\n")


def xyz(number: int) -> str:
    """One molecule as an ``.xyz`` file of the original publication."""
    atoms = [f"{symbol}\t{x}\t{y}\t{z:.1e}\t0.1".replace("e-", "*^-") for symbol, x, y, z in GEOMETRY[number]]
    head = f"gdb {number}\t" + "\t".join(f"{value:.2f}" for value in VALUES[number]) + "\t"
    return "\n".join([str(len(atoms)), head, *atoms, "100.0\t200.0", "C\tC", "InChI=1S\tInChI=1S"]) + "\n"


def write_folder(raw: Path) -> None:
    """A folder of ``.xyz`` files."""
    (raw / "dsgdb9nsd").mkdir(parents=True)
    for number in GEOMETRY:
        (raw / "dsgdb9nsd" / f"dsgdb9nsd_{number:06d}.xyz").write_text(xyz(number))
    write_uncharacterized(raw)


def write_archive(raw: Path) -> None:
    """The same files in an archive."""
    write_folder(raw)
    with tarfile.open(raw / "dsgdb9nsd.xyz.tar.bz2", "w:bz2") as bundle:
        for path in sorted((raw / "dsgdb9nsd").iterdir()):
            bundle.add(path, path.name)
    shutil.rmtree(raw / "dsgdb9nsd")


@pytest.fixture(scope="module")
def genuine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the genuine files."""
    root = tmp_path_factory.mktemp("qm9")
    (root / "raw").mkdir()
    for name in ("gdb9.sdf", "gdb9.sdf.csv", "uncharacterized.txt"):
        shutil.copy(DATA / "qm9_raw" / name, root / "raw" / name)
    return root


@genuine
@pytest.mark.parametrize("label", LABELS)
def test_genuine_labels_equal_the_table(genuine_root: Path, label: str) -> None:
    chosen = LABELS[label]
    table = np.genfromtxt(
        genuine_root / "raw" / "gdb9.sdf.csv", delimiter=",", names=True, dtype=None, encoding="utf-8"
    )
    unit = HARTREE_IN_EV if chosen.unit == "eV" else 1.0
    dataset = QM9(genuine_root, label=label)
    assert len(dataset) == 700
    assert np.allclose(dataset.energies(), table[chosen.prop] * unit, rtol=1e-12)
    assert dataset.energy_unit == chosen.unit


@genuine
def test_genuine_molecules_equal_their_copies_in_extended_xyz(genuine_root: Path) -> None:
    dataset = QM9(genuine_root, label="energy_U0")
    for index, atoms in enumerate(read_frames(DATA / "qm9_1000.extxyz", ":50")):
        sample = dataset[index]
        assert sample.z.tolist() == atoms.numbers.tolist()
        assert np.allclose(sample.pos, atoms.positions, atol=1e-6)
        # The copies went through float32
        assert sample.y.item() == pytest.approx(atoms.get_potential_energy(), rel=1e-6)


@genuine
def test_genuine_files_of_single_molecules_agree_with_the_table(tmp_path: Path) -> None:
    shutil.copytree(DATA / "qm9_raw" / "dsgdb9nsd", tmp_path / "raw" / "dsgdb9nsd")
    write_uncharacterized(tmp_path / "raw")
    dataset = QM9(tmp_path, label="energy_U0")
    assert len(dataset) == 20
    # gdb 1 to 10 come first; U0 of methane, ammonia and water in the publication
    expected = np.array([-40.47893, -56.525887, -76.404702]) * HARTREE_IN_EV
    assert np.allclose(dataset.energies()[:3], expected, rtol=1e-12)
    assert [dataset[index].z.tolist() for index in range(3)] == [[6, 1, 1, 1, 1], [7, 1, 1, 1], [8, 1, 1]]


@genuine
def test_atomization_energies_follow_from_the_reference_energies(genuine_root: Path) -> None:
    table = np.genfromtxt(
        genuine_root / "raw" / "gdb9.sdf.csv", delimiter=",", names=True, dtype=None, encoding="utf-8"
    )
    for label, column in (
        ("energy_U0", "u0_atom"),
        ("energy_U", "u298_atom"),
        ("enthalpy_H", "h298_atom"),
        ("free_energy", "g298_atom"),
    ):
        dataset = QM9(genuine_root, label=label)
        reference = dataset.get_atomref()
        assert reference is not None
        free = np.array([float(reference[dataset[index].z].sum()) for index in range(100)])
        # This table has five decimals of a Hartree
        assert np.allclose(dataset.energies()[:100].numpy() - free, table[column][:100] * KCAL_PER_MOL_IN_EV, atol=3e-4)


@pytest.mark.parametrize("write", [write_gdb9, write_folder, write_archive])
def test_all_layouts_give_the_same_molecules(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "raw")
    dataset = QM9(tmp_path, label="heat_capacity")
    column = PROPERTIES.index("cv")
    assert dataset.energies().tolist() == pytest.approx([VALUES[number][column] for number in GEOMETRY])
    assert dataset[2].z.tolist() == [8, 1, 1]
    assert np.allclose(dataset[2].pos, [atom[1:] for atom in GEOMETRY[3]])


def test_uncharacterized_molecules_are_left_out(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw", left_out=(2, 133885))
    dataset = QM9(tmp_path, label="dipole_moment")
    assert [dataset.frame_name(index) for index in range(len(dataset))] == ["gdb9.sdf, frame 0", "gdb9.sdf, frame 2"]


def test_samples_have_a_number_a_molecule(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw")
    assert tuple(QM9(tmp_path, label="gap")[0].y.shape) == (1, 1)


@pytest.mark.parametrize("label", ["dipole_moment", "homo", "zpve", "heat_capacity"])
def test_other_properties_have_no_part_from_free_atoms(tmp_path: Path, label: str) -> None:
    write_gdb9(tmp_path / "raw")
    reference = QM9(tmp_path, label=label).get_atomref(10)
    assert reference is not None
    assert reference.tolist() == [[0.0]] * 10


def test_no_label_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"QM9: label is missing; give dataset_arg: \{label: NAME\}, NAME one of dipole"
    ):
        QM9(tmp_path)


def test_an_unknown_label_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"QM9: label 'energy_u0' is none of .*; did you mean 'energy_U0'"):
        QM9(tmp_path, label="energy_u0")


def test_files_of_different_length_are_told(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw")
    table = tmp_path / "raw" / "gdb9.sdf.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(DatasetError, match=r"gdb9.sdf.csv has 2 rows, but .*gdb9.sdf has more molecules"):
        QM9(tmp_path, label="gap")


def test_files_of_different_molecules_are_told(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw")
    table = tmp_path / "raw" / "gdb9.sdf.csv"
    table.write_text(table.read_text().replace("gdb_2", "gdb_4"))
    with pytest.raises(DatasetError, match=r"line 3 is of gdb_4, but record 1 of .*gdb9.sdf is 'gdb_2'"):
        QM9(tmp_path, label="gap")


def test_a_table_without_the_column_is_told(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw")
    table = tmp_path / "raw" / "gdb9.sdf.csv"
    table.write_text(table.read_text().replace(",gap,", ",hole,"))
    with pytest.raises(DatasetError, match=r"gdb9.sdf.csv has columns mol_id, A, .*; mol_id and gap were expected"):
        QM9(tmp_path, label="gap")


def test_a_word_for_a_number_is_told(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw")
    table = tmp_path / "raw" / "gdb9.sdf.csv"
    table.write_text(table.read_text().replace("2.07", "much"))
    with pytest.raises(DatasetError, match=r"gdb9.sdf.csv, line 3, gap: 'much' is not a number"):
        QM9(tmp_path, label="gap")


def test_a_broken_xyz_file_is_told(tmp_path: Path) -> None:
    write_folder(tmp_path / "raw")
    path = tmp_path / "raw" / "dsgdb9nsd" / "dsgdb9nsd_000002.xyz"
    path.write_text(path.read_text().replace("gdb 2", "xyz 2"))
    with pytest.raises(DatasetError, match=r"dsgdb9nsd_000002.xyz begins with '2' and 'xyz 2 .*15 properties were exp"):
        QM9(tmp_path, label="gap")


def test_a_list_of_another_form_is_told(tmp_path: Path) -> None:
    write_gdb9(tmp_path / "raw")
    (tmp_path / "raw" / "uncharacterized.txt").write_text("\n".join(["a"] * 12))
    with pytest.raises(DatasetError, match=r"uncharacterized.txt, line 10: 'a' does not begin with the number"):
        QM9(tmp_path, label="gap")
