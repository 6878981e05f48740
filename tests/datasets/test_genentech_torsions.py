"""GenentechTorsions from a file in place; its items are those of the published SDF file."""

from pathlib import Path

import pytest
from sdf_files import WATER_SDF, sdf_record

from torchmdnet.datasets import DatasetError, GenentechTorsions
from torchmdnet.datasets.genentech_torsions import FILE
from torchmdnet.units import KCAL_PER_MOL_IN_EV

REFERENCE = "CCSD_T_CBS_MP2"


def write(root: Path, *items: dict[str, str]) -> None:
    (root / "raw").mkdir()
    records = [sdf_record(WATER_SDF, title=f"scan{i}", items=values) for i, values in enumerate(items)]
    (root / "raw" / FILE.name).write_text("".join(records))


def kcal_per_mol(dataset: GenentechTorsions) -> list[float]:
    return [round(energy / KCAL_PER_MOL_IN_EV, 9) for energy in dataset.energies().tolist()]


def test_energies_come_in_ev(tmp_path: Path) -> None:
    write(tmp_path, {"deltaE": "2.5", "MinMethod": REFERENCE})
    sample = GenentechTorsions(tmp_path)[0]
    assert sample.y.item() == pytest.approx(2.5 * 0.0433641153087705)
    assert sample.z.tolist() == [8, 1, 1]
    assert sample.pos[1].tolist() == [0.96, 0, 0]


def test_only_records_of_the_theory_are_taken(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"deltaE": "0", "MinMethod": "HF"},
        {"deltaE": "1", "MinMethod": REFERENCE},
        {"deltaE": "2", "MinMethod": "HF"},
        {"deltaE": "3"},
    )
    assert kcal_per_mol(GenentechTorsions(tmp_path)) == [1, 3]
    assert kcal_per_mol(GenentechTorsions(tmp_path, theory="HF")) == [0, 2, 3]
    assert GenentechTorsions(tmp_path, theory="HF").frame_name(1) == f"{FILE.name}, frame 2"


def test_the_energy_can_be_another_item(tmp_path: Path) -> None:
    write(tmp_path, {"deltaE": "0", "Energy": "-7"})
    assert kcal_per_mol(GenentechTorsions(tmp_path, energy_field="Energy")) == [-7]


def test_files_of_ones_own_are_read_in_place(tmp_path: Path) -> None:
    for name, energies in (("b.sdf", ("3",)), ("a.sdf", ("1", "2"))):
        records = [sdf_record(WATER_SDF, title="scan", items={"deltaE": energy}) for energy in energies]
        (tmp_path / name).write_text("".join(records))
    root = tmp_path / "stores"
    assert kcal_per_mol(GenentechTorsions(root, paths=[tmp_path / "b.sdf", tmp_path / "a.sdf"])) == [3, 1, 2]
    assert kcal_per_mol(GenentechTorsions(root, paths=tmp_path)) == [1, 2, 3]
    assert GenentechTorsions(root, paths=str(tmp_path / "b.sdf")).frame_name(0) == "b.sdf, frame 0"
    with pytest.raises(FileNotFoundError, match=r"^paths: there is no file .*c\.sdf"):
        GenentechTorsions(root, paths=tmp_path / "c.sdf")


def test_a_missing_root_is_told() -> None:
    with pytest.raises(ValueError, match="GenentechTorsions: dataset_root is missing"):
        GenentechTorsions()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"MinMethod": REFERENCE, "E": "1"}, r"record 0 \(scan0\) has no item 'deltaE'; its items are MinMethod, E"),
        ({"deltaE": "none"}, r"record 0 \(scan0\): the item 'deltaE' is 'none', not a number"),
        ({"deltaE": "1", "MinMethod": "HF"}, f"no record with MinMethod '{REFERENCE}', only HF; choose one"),
    ],
)
def test_items_that_do_not_fit_are_told(tmp_path: Path, items: dict[str, str], message: str) -> None:
    write(tmp_path, items)
    with pytest.raises(DatasetError, match=message):
        GenentechTorsions(tmp_path)
