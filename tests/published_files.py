"""Small files of published data sets, where their classes look for them."""

from collections.abc import Callable
from pathlib import Path

from ani_spice_files import ani1x_group, ani_group, conformations, maceoff_frame, size_group, spice_group, write_groups
from dataset_files import WATER, molecules, write_npz

NUM_FRAMES = 10


def write_qm9(raw: Path) -> None:
    """Waters with all properties that a label may name, all the same but for the energies."""
    columns = ["A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "u0", "u298", "h298", "g298", "cv"]
    records, table = [], [",".join(["mol_id", *columns])]
    for number, positions in enumerate(conformations(len(WATER), NUM_FRAMES), start=1):
        rows = ["".join(f"{x:10.4f}" for x in row) for row in positions]
        records += [f"gdb_{number}", " written for a test", "", "  3  2  0  0  0  0  0  0  0  0999 V2000"]
        records += [f"{row} {symbol:<3} 0  0" for row, symbol in zip(rows, "OHH", strict=True)]
        records += ["  1  2  1  0", "  1  3  1  0", "M  END", "$$$$"]
        energies = [f"{-76.4 - 0.01 * number}"] * 4
        table.append(",".join([f"gdb_{number}", *["1.0"] * 10, *energies, "6.0"]))
    raw.mkdir(parents=True)
    (raw / "gdb9.sdf").write_text("\n".join(records) + "\n")
    (raw / "gdb9.sdf.csv").write_text("\n".join(table) + "\n")
    (raw / "uncharacterized.txt").write_text("\n".join([*"123456789", "1 of 1", ""]))


def write_md17(raw: Path) -> None:
    """Aspirin, old and revised, which is water here."""
    frames = molecules(WATER, count=NUM_FRAMES, seed=0)
    write_npz(raw / "md17_aspirin.npz", frames)
    write_npz(raw / "rmd17" / "npz_data" / "rmd17_aspirin.npz", frames, revised=True)


def write_ani1(raw: Path) -> None:
    """A molecule in each of the eight files."""
    for size in range(1, 9):
        group = ani_group("OHH", [-76.4 + 0.1 * size, -76.3], seed=size, derivatives=False)
        write_groups(raw / "ANI-1_release" / f"ani_gdb_s{size:02d}.h5", {f"gdb/water{size}": group})


def write_ani1x(raw: Path) -> None:
    """Two formulas."""
    groups = {"H2O1": ani1x_group([8, 1, 1], NUM_FRAMES), "C1H4": ani1x_group([6, 1, 1, 1, 1], 2)}
    write_groups(raw / "ani1x-release.h5", groups)


def write_ani2x(raw: Path) -> None:
    """Molecules of two sizes."""
    groups = {"003": size_group(3, NUM_FRAMES), "005": size_group(5, 3)}
    write_groups(raw / "final_h5" / "ANI-2x-wB97X-631Gd.h5", groups)


def write_spice(raw: Path) -> None:
    """Water in the releases that the examples name."""
    for name in ("1.1/SPICE.hdf5", "1.1.3/SPICE-1.1.3.hdf5"):
        write_groups(raw / "spice" / name, {"water": spice_group(NUM_FRAMES)})


def write_maceoff(raw: Path) -> None:
    """Waters and ammonias."""
    path = raw / "maceoff" / "1.0" / "train_large_neut_no_bad_clean.xyz"
    path.parent.mkdir(parents=True)
    frames = [maceoff_frame([*symbols], energy=-76.0 * number) for number, symbols in enumerate(["OHH", "NHHH"] * 5, 1)]
    path.write_text("".join(frames))


WRITERS: dict[str, Callable[[Path], None]] = {
    "QM9": write_qm9,
    "MD17": write_md17,
    "ANI1": write_ani1,
    "ANI1X": write_ani1x,
    "ANI2X": write_ani2x,
    "SPICE": write_spice,
    "MACEOFF": write_maceoff,
}


def write_published(dataset: str, root: Path) -> Path:
    """Raw files of a data set, so that nothing has to be fetched; returns ``root``."""
    WRITERS[dataset](root / "raw")
    return root
