"""ANI-1, ANI-1x, ANI-1ccx and ANI-2x from files in place."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ani_spice_files import ANI_ELEMENTS, ani1x_group, ani_group, size_group, write_groups
from torch_geometric.data import Batch

from torchmdnet.datasets import ANI1, ANI1CCX, ANI1X, ANI2X, COMP6v2, DatasetError, ExtXYZ, StoredDataset
from torchmdnet.datasets.ani_dataset import AniDataset, AniForces
from torchmdnet.units import HARTREE_IN_EV


def write_ani1(folder: Path) -> list[Path]:
    """The eight files of ANI-1, one water each; energy is the number of the file."""
    return [
        write_groups(folder / f"ani_gdb_s{i:02d}.h5", {f"a/{i}": ani_group("OHH", [float(i)], derivatives=False)})
        for i in range(1, 9)
    ]


def test_ani1_reads_its_eight_files_in_order(tmp_path: Path) -> None:
    write_ani1(tmp_path / "raw" / "ANI-1_release")
    dataset = ANI1(tmp_path)
    assert dataset.fields == ("z", "pos", "y")
    assert torch.allclose(dataset.energies(), torch.arange(1.0, 9.0, dtype=torch.float64) * HARTREE_IN_EV)


def test_ani1_takes_its_files_out_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with tarfile.open(tmp_path / "raw" / "ANI1_release.tar.gz", "w:gz") as bundle:
        for path in write_ani1(tmp_path / "elsewhere"):
            bundle.add(path, f"ANI-1_release/{path.name}")
    assert len(ANI1(tmp_path)) == 8


def test_ani1_has_the_atomization_energies_of_small_molecules(test_data: Path, tmp_path: Path) -> None:
    files = write_ani1(tmp_path / "raw" / "ANI-1_release")
    files[0].unlink()
    files[0].symlink_to(test_data / "data" / "raw" / "ani_gdb_s01.h5")
    dataset = ANI1(tmp_path)
    batch = dataset.get_batch(range(10800))
    atomref = dataset.get_atomref()
    assert atomref is not None
    sums = torch.zeros(10800, dtype=torch.float64).index_add_(0, batch.batch, atomref[batch.z, 0])
    bound = batch.y[:, 0] - sums
    # Of methane, ammonia, water without zero-point energy: 420, 298, 233 kcal/mol (Karton et al. 2011)
    for (start, stop), energy in zip(((0, 5400), (5400, 9000), (9000, 10800)), (-18.2, -12.9, -10.1), strict=True):
        # The small basis set of the data, 6-31G(d), binds water half an eV too weakly
        assert bound[start:stop].min() == pytest.approx(energy, abs=0.6)


def in_order_of_geometry(dataset: StoredDataset) -> Batch:
    """All frames, in an order that does not depend on how files group them."""
    batch = dataset.get_batch(range(len(dataset)))
    along = batch.pos @ torch.tensor([1.0, 1.7, 2.9], dtype=torch.float64)
    key = torch.zeros(len(dataset), dtype=torch.float64).index_add_(0, batch.batch, along**2 * batch.z)
    return dataset.get_batch(key.argsort().numpy())


def write_ani1x(root: Path, **groups: dict[str, np.ndarray]) -> Path:
    return write_groups(root / "raw" / "ani1x-release.h5", groups)


def test_ani1x_agrees_with_a_copy_in_another_format(test_data: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ani1x-release.h5").symlink_to(test_data / "data" / "ani1x_native.h5")
    dataset = ANI1X(tmp_path)
    copy = ExtXYZ(test_data / "data" / "ani1x_1000.extxyz", dipole_key="none")
    assert len(dataset) == len(copy) == 781
    mine, other = (in_order_of_geometry(d) for d in (dataset, copy))
    assert torch.equal(mine.z, other.z)
    # The copy has energies rounded to float32, and eight decimals of the others
    assert torch.allclose(mine.y, other.y, rtol=1.2e-7, atol=0.0)
    assert torch.allclose(mine.pos, other.pos, atol=1e-8)
    assert torch.allclose(mine.neg_dy, other.neg_dy, atol=1e-8)


@pytest.mark.parametrize("name", ["wb97x_dz.energy", "wb97x_dz.forces"])
def test_ani1x_leaves_out_frames_without_a_label(tmp_path: Path, name: str) -> None:
    group = ani1x_group([8, 1, 1], 4)
    group[name][1] = np.nan
    write_ani1x(tmp_path, water=group, other=ani1x_group([6, 1], 1))
    dataset = ANI1X(tmp_path)
    assert [dataset.frame_name(i).removeprefix("ani1x-release.h5, group ") for i in range(4)] == [
        "other, frame 0",
        "water, frame 0",
        "water, frame 2",
        "water, frame 3",
    ]
    kept = torch.from_numpy(group["wb97x_dz.energy"][[0, 2, 3]]) * HARTREE_IN_EV
    assert torch.allclose(dataset.energies()[1:], kept)


def test_ani1ccx_has_the_frames_with_a_coupled_cluster_energy(tmp_path: Path) -> None:
    group = ani1x_group([8, 1, 1], 4)
    group["ccsd(t)_cbs.energy"][:3] = np.nan
    group["wb97x_dz.forces"][3] = np.nan
    write_ani1x(tmp_path, water=group)
    dataset = ANI1CCX(tmp_path)
    assert dataset.fields == ("z", "pos", "y")
    assert dataset.energies().tolist() == pytest.approx([group["ccsd(t)_cbs.energy"][3] * HARTREE_IN_EV])


def test_ani1x_and_ani1ccx_share_a_file_and_a_root(tmp_path: Path) -> None:
    group = ani1x_group([8, 1, 1], 4)
    group["ccsd(t)_cbs.energy"][0] = np.nan
    write_ani1x(tmp_path, water=group)
    assert [len(dataset(tmp_path)) for dataset in (ANI1X, ANI1CCX, ANI1X)] == [4, 3, 4]


def test_ani2x_has_forces_as_in_the_file(tmp_path: Path) -> None:
    groups = {f"{size:03d}": size_group(size, 2, seed=size) for size in (3, 12)}
    write_groups(tmp_path / "raw" / "final_h5" / "ANI-2x-wB97X-631Gd.h5", groups)
    dataset = ANI2X(tmp_path)
    assert dataset.num_atoms.tolist() == [3, 3, 12, 12]
    assert dataset[2].z.tolist() == groups["012"]["species"][0].tolist()
    assert np.allclose(dataset[2].neg_dy, groups["012"]["forces"][0] * HARTREE_IN_EV)


def write_set(name: str, root: Path) -> type[AniForces]:
    """Four waters, of which the second has no forces where the set may lack them."""
    group = ani1x_group([8, 1, 1], 4)
    group["wb97x_dz.forces"][1] = np.nan
    cls = {"ANI1X": ANI1X, "ANI2X": ANI2X, "COMP6v2": COMP6v2}[name]
    groups = {"water": group} if name == "ANI1X" else {"003": size_group(3, 4)}
    write_groups(root / "raw" / cls.files[0].name, groups)
    return cls


@pytest.mark.parametrize("name", ["ANI1X", "ANI2X", "COMP6v2"])
def test_chosen_properties_leave_the_frames_alone(tmp_path: Path, name: str) -> None:
    cls = write_set(name, tmp_path)
    whole = cls(tmp_path)
    energies, forces = cls(tmp_path, properties=("y",)), cls(tmp_path, properties="neg_dy")
    assert energies.fields == ("z", "pos", "y")
    assert forces.fields == ("z", "pos", "neg_dy")
    assert torch.equal(energies.energies(), whole.energies())
    for index in range(len(whole)):
        assert energies.frame_name(index) == forces.frame_name(index) == whole.frame_name(index)
        assert torch.equal(forces[index].neg_dy, whole[index].neg_dy)
    assert cls(tmp_path, properties=["neg_dy", "y"])._store.folder == whole._store.folder


@pytest.mark.parametrize(
    ("properties", "error", "message"),
    [
        (("y", "neg_dyy"), ValueError, r"^ANI1X: properties: 'neg_dyy' is none of y, neg_dy; did you mean 'neg_dy'\?$"),
        (["q"], ValueError, "^ANI1X: properties: 'q' is none of y, neg_dy$"),
        ([], ValueError, "^ANI1X: properties is empty; name at least one of y, neg_dy$"),
        (1, TypeError, "^ANI1X: properties is 1; a list out of y, neg_dy was expected$"),
        ([1], TypeError, r"^ANI1X: properties is \[1\]; a list out of y, neg_dy was expected$"),
    ],
)
def test_properties_that_are_none_are_told_before_anything_is_fetched(
    tmp_path: Path, properties: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ANI1X(tmp_path / "empty", properties=properties)


@pytest.mark.parametrize(
    ("dataset_class", "hartree"),
    [
        (ANI1X, {1: -0.60095298, 6: -38.08316124, 7: -54.7077577, 8: -75.19446356}),
        (ANI1CCX, {1: -0.5991501324919538, 6: -38.03750806057356, 7: -54.67448347695333, 8: -75.16043537275567}),
    ],
)
def test_the_energies_of_the_atoms_come_along(
    tmp_path: Path, dataset_class: type[AniDataset], hartree: dict[int, float]
) -> None:
    write_ani1x(tmp_path, water=ani1x_group([8, 1, 1], 1))
    atomref = dataset_class(tmp_path).get_atomref()
    expected = torch.zeros(100, 1, dtype=torch.float64)
    expected[list(hartree), 0] = torch.tensor(list(hartree.values()), dtype=torch.float64) * HARTREE_IN_EV
    assert atomref is not None
    assert torch.allclose(atomref, expected)


def test_ani2x_has_atomic_energies_of_all_its_elements(tmp_path: Path) -> None:
    write_groups(tmp_path / "raw" / "final_h5" / "ANI-2x-wB97X-631Gd.h5", {"003": size_group(3, 1)})
    atomref = ANI2X(tmp_path).get_atomref()
    assert atomref is not None
    assert atomref[:, 0].nonzero()[:, 0].tolist() == sorted(ANI_ELEMENTS)
    assert atomref[17].item() == pytest.approx(-460.1681939421027 * HARTREE_IN_EV)


def test_samples_are_filtered_and_transformed(tmp_path: Path) -> None:
    write_ani1x(tmp_path, water=ani1x_group([8, 1, 1], 3), other=ani1x_group([6, 1], 2))
    dataset = ANI1X(tmp_path, lambda data: data.update({"y": data.y * 0}), pre_filter=lambda data: len(data.z) == 3)
    assert len(dataset) == 3
    assert dataset[0].y.item() == 0.0


def test_a_nan_in_a_file_that_should_have_none_is_a_fault(tmp_path: Path) -> None:
    group = size_group(3, 2)
    group["energies"][1] = np.nan
    write_groups(tmp_path / "raw" / "final_h5" / "ANI-2x-wB97X-631Gd.h5", {"003": group})
    with pytest.raises(DatasetError, match=r"NaN or infinite energy: ANI-2x-wB97X-631Gd.h5, group 003, frame 1"):
        ANI2X(tmp_path)
