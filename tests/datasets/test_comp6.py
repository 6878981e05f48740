"""The parts of COMP6 v1, all of them together, and COMP6 v2, from files in place."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ani_spice_files import ani_group, size_group, write_groups

from torchmdnet.datasets import (
    ANIMD,
    S66X8,
    COMP6v1,
    COMP6v2,
    DrugBank,
    GDB07to09,
    GDB10to13,
    Tripeptides,
)
from torchmdnet.datasets.ani_dataset import AniDataset
from torchmdnet.units import HARTREE_IN_EV

FILES: dict[type[AniDataset], list[str]] = {
    ANIMD: ["ani_md_bench.h5"],
    DrugBank: ["drugbank_testset.h5"],
    GDB07to09: ["gdb11_07_test500.h5", "gdb11_08_test500.h5", "gdb11_09_test500.h5"],
    GDB10to13: ["gdb11_10_test500.h5", "gdb11_11_test500.h5", "gdb13_12_test1000.h5", "gdb13_13_test1000.h5"],
    Tripeptides: ["tripeptide_full.h5"],
    S66X8: ["s66x8_wb97x6-31gd.h5"],
}
NAMES = [name for names in FILES.values() for name in names]


def write_all(root: Path) -> None:
    """All files of COMP6 v1; energies are numbered through."""
    for number, name in enumerate(NAMES):
        write_groups(root / "raw" / name, {f"set/mol{number}": ani_group("OHH", [2.0 * number, 2.0 * number + 1])})


@pytest.mark.parametrize("part", FILES)
def test_a_part_reads_its_own_files(tmp_path: Path, part: type[AniDataset]) -> None:
    write_all(tmp_path)
    first = NAMES.index(FILES[part][0])
    expected = torch.arange(2 * first, 2 * (first + len(FILES[part])), dtype=torch.float64) * HARTREE_IN_EV
    assert torch.allclose(part(tmp_path).energies(), expected)


def test_comp6v1_has_the_six_parts_in_order(tmp_path: Path) -> None:
    write_all(tmp_path)
    whole = COMP6v1(tmp_path)
    parts = [part(tmp_path) for part in FILES]
    assert torch.equal(whole.energies(), torch.cat([part.energies() for part in parts]))
    assert whole.frame_name(9) == "gdb11_09_test500.h5, group set/mol4, frame 1"


def test_the_sign_of_what_v1_calls_forces_is_turned(tmp_path: Path) -> None:
    write_all(tmp_path)
    gradients = ani_group("OHH", [0.0, 1.0])["forces"]
    assert np.allclose(S66X8(tmp_path)[1].neg_dy, -gradients[1] * HARTREE_IN_EV)


def test_forces_of_v2_are_as_in_the_file(tmp_path: Path) -> None:
    group = size_group(6, 2)
    write_groups(tmp_path / "raw" / "comp6v2_final_h5" / "COMP6v2_wB97X-631Gd.h5", {"006": group})
    assert np.allclose(COMP6v2(tmp_path)[1].neg_dy, group["forces"][1] * HARTREE_IN_EV)


def test_forces_of_a_genuine_file_point_downhill(test_data: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "s66x8_wb97x6-31gd.h5").symlink_to(test_data / "data" / "raw" / "gdb11_S01_06r.h5")
    dataset = S66X8(tmp_path)
    assert len(dataset) == 4366
    water = dataset.get_batch(range(3459, 4366))
    assert water.z[:3].tolist() == [8, 1, 1]
    pos, force = water.pos.reshape(-1, 3, 3), water.neg_dy.reshape(-1, 3, 3)
    bonds = pos[:, 1:] - pos[:, :1]
    length = bonds.norm(dim=2)
    pull = (force[:, 1:] * bonds).sum(2) / length
    # Equilibrium length is 0.96 Å: a stretched bond pulls its hydrogen back, a short one pushes it away
    assert (pull[length > 1.05] < 0).all()
    assert (pull[length < 0.88] > 0).all()


@pytest.mark.parametrize("dataset_class", [*FILES, COMP6v1])
def test_v1_has_the_atomic_energies_of_ani1(tmp_path: Path, dataset_class: type[AniDataset]) -> None:
    write_all(tmp_path)
    atomref = dataset_class(tmp_path).get_atomref(max_z=10)
    assert atomref is not None
    hartree = {1: -0.500607632585, 6: -37.8302333826, 7: -54.5680045287, 8: -75.0362229210}
    expected = [hartree.get(z, 0.0) * HARTREE_IN_EV for z in range(10)]
    assert atomref[:, 0].tolist() == pytest.approx(expected)


def test_v2_has_the_atomic_energies_of_ani2x(tmp_path: Path) -> None:
    write_groups(tmp_path / "raw" / "comp6v2_final_h5" / "COMP6v2_wB97X-631Gd.h5", {"006": size_group(6, 2)})
    atomref = COMP6v2(tmp_path).get_atomref()
    assert atomref is not None
    assert atomref[16].item() == pytest.approx(-398.1577125334925 * HARTREE_IN_EV)
